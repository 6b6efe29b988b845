"use strict";

// The list of tiles as pictures; only those in sight exist in the page, however many there are.
Labelling.List = class {
  constructor(box, chunks, actions) {
    Object.assign(this, {box, chunks, actions});
    this.inner = box.firstElementChild;
    this.cells = new Map();
    this.queue = [];
    box.addEventListener("scroll", () => this.actions.redraw());
    box.addEventListener("click", (event) => {
      const cell = event.target.closest("[data-number]");
      if (cell) this.actions.go(Number(cell.dataset.number));
    });
  }

  show(scene, labels, queue) {
    Object.assign(this, {scene, labels, queue});
    for (const cell of this.cells.values()) cell.remove();
    this.cells.clear();
    this.positions = new Map(queue.map((number, position) => [number, position]));
    this.box.scrollTop = 0;
  }

  measure() {
    const side = parseFloat(getComputedStyle(this.box).getPropertyValue("--thumb")) + 8;
    const columns = Math.max(1, Math.floor((this.box.clientWidth - 4) / side));
    return {side, columns};
  }

  position(number) {
    const found = this.positions.get(number);
    return found === undefined ? -1 : found;
  }

  follow(number) {
    const position = this.position(number);
    if (position < 0) return;
    const {side, columns} = this.measure();
    const top = Math.floor(position / columns) * side;
    if (top < this.box.scrollTop) this.box.scrollTop = top;
    else if (top + side > this.box.scrollTop + this.box.clientHeight) this.box.scrollTop = top + side - this.box.clientHeight;
  }

  draw(current) {
    const {side, columns} = this.measure();
    this.inner.style.height = `${Math.ceil(this.queue.length / columns) * side}px`;
    const first = Math.floor(this.box.scrollTop / side) * columns;
    const last = Math.ceil((this.box.scrollTop + this.box.clientHeight) / side) * columns;
    const wanted = new Set(this.queue.slice(first, last));
    for (const [number, cell] of this.cells) {
      if (wanted.has(number)) continue;
      cell.remove();
      this.cells.delete(number);
    }
    for (let position = first; position < Math.min(last, this.queue.length); position += 1) {
      const number = this.queue[position];
      let cell = this.cells.get(number);
      if (!cell) {
        cell = this.make(number);
        this.cells.set(number, cell);
        this.inner.append(cell);
      }
      cell.style.transform = `translate(${(position % columns) * side + 4}px, ${Math.floor(position / columns) * side + 4}px)`;
      this.mark(cell, number, position, current);
      if (!cell.drawn) cell.drawn = this.picture(cell.firstElementChild, number);
    }
    const active = this.cells.get(current);
    if (active) this.box.setAttribute("aria-activedescendant", active.id);
    else this.box.removeAttribute("aria-activedescendant");
  }

  make(number) {
    const cell = document.createElement("div");
    cell.className = "thumb";
    cell.id = `tile-${number}`;
    cell.dataset.number = number;
    cell.setAttribute("role", "option");
    cell.append(document.createElement("canvas"), document.createElement("span"));
    return cell;
  }

  mark(cell, number, position, current) {
    const label = this.labels.label(number);
    const kind = label === "1" ? "yes" : label === "0" ? "no" : this.labels.isDoubtful(number) ? "doubt" : "";
    const state = `${kind}/${number === current}/${position}`;
    if (cell.state === state) return;
    cell.state = state;
    cell.dataset.kind = kind;
    cell.lastElementChild.textContent = {yes: "1", no: "0", doubt: "?"}[kind] || "";
    cell.setAttribute("aria-selected", String(number === current));
    cell.setAttribute("aria-label", `${this.scene.name(number)}, ${Labelling.words(this.labels, number)}`);
    cell.setAttribute("aria-posinset", position + 1);
    cell.setAttribute("aria-setsize", this.queue.length);
  }

  picture(canvas, number) {
    const {width, height} = Labelling.fit(canvas);
    if (!width) return false;
    const context = canvas.getContext("2d", {alpha: false});
    const [left, top, wide, tall] = this.scene.window(number);
    const [a, b, c, d] = this.scene.matrix.map(Math.abs);
    const scale = Math.min(width / (a * wide + c * tall), height / (b * wide + d * tall));
    const view = {x: left + wide / 2, y: top + tall / 2, scale, width, height};
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "#808080";
    context.fillRect(0, 0, width, height);
    return this.chunks.draw(context, this.scene, view, [left, top, left + wide, top + tall]);
  }
};

Labelling.words = (labels, number) => {
  const label = labels.label(number);
  if (label) return label === "1" ? "landslide" : "no landslide";
  return labels.isDoubtful(number) ? "doubtful" : labels.isLeft(number) ? "left empty" : "no label";
};
