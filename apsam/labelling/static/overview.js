"use strict";

// The whole scene with the labels of its tiles: click to go to a tile, drag to label many, move and zoom.
Labelling.Overview = class {
  // `actions`: go(number), paint(numbers, decision, first), label(numbers, decision).
  constructor(canvas, chunks, actions) {
    Object.assign(this, {canvas, chunks, actions});
    this.context = canvas.getContext("2d", {alpha: false});
    this.brush = "";
    this.zoom = 1;
    this.corner = null;
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", () => this.up());
    // The browser took the touch for scrolling.
    canvas.addEventListener("pointercancel", () => {
      if (this.brush && this.drag) this.actions.painted();
      this.drag = null;
    });
    canvas.addEventListener("wheel", (event) => {
      if (!Labelling.zoomsByWheel(event)) return;
      event.preventDefault();
      this.zoomBy(event.deltaY < 0 ? 1.25 : 0.8, event.offsetX, event.offsetY);
    }, {passive: false});
  }

  show(scene, labels) {
    Object.assign(this, {scene, labels, zoom: 1, corner: null});
    [this.x, this.y] = [scene.width / 2, scene.height / 2];
  }

  setBrush(brush) {
    this.brush = brush;
    this.canvas.style.cursor = brush ? "crosshair" : this.zoom > 1 ? "grab" : "pointer";
    // A finger scrolls the page unless it labels tiles or moves the scene.
    this.canvas.style.touchAction = brush || this.zoom > 1 ? "none" : "pan-y";
  }

  view() {
    const {width, height, ratio} = Labelling.fit(this.canvas);
    const [a, b, c, d] = this.scene.matrix.map(Math.abs);
    const {width: wide, height: tall} = this.scene;
    const whole = Math.min(width / (a * wide + c * tall), height / (b * wide + d * tall)) * 0.98;
    return {x: this.x, y: this.y, scale: whole * this.zoom, width, height, ratio};
  }

  zoomBy(factor, offsetX = this.canvas.clientWidth / 2, offsetY = this.canvas.clientHeight / 2) {
    const before = this.view();
    const at = Labelling.pixelAt(this.scene, before, offsetX * before.ratio, offsetY * before.ratio);
    this.zoom = Math.max(1, Math.min(64, this.zoom * factor));
    const after = this.view();
    const now = Labelling.pixelAt(this.scene, after, offsetX * after.ratio, offsetY * after.ratio);
    this.x += at[0] - now[0];
    this.y += at[1] - now[1];
    if (this.zoom === 1) [this.x, this.y] = [this.scene.width / 2, this.scene.height / 2];
    this.setBrush(this.brush);
    this.actions.redraw();
  }

  // Keep the tile that is asked in sight.
  follow(number) {
    const [left, top, right, bottom] = this.scene.cell(number);
    const [x0, y0, x1, y1] = Labelling.seen(this.scene, this.view());
    if (left < x0 || right > x1 || top < y0 || bottom > y1) {
      if (this.zoom > 1) [this.x, this.y] = [(left + right) / 2, (top + bottom) / 2];
    }
  }

  draw(current) {
    const {context, scene} = this;
    const view = this.view();
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "#808080";
    context.fillRect(0, 0, view.width, view.height);
    this.chunks.draw(context, scene, view);
    context.globalAlpha = 0.55;
    const inSight = (scene.count * Math.min(1, 1.5 / this.zoom ** 2)) | 0;
    if (inSight > 3000 && scene.across > 3 && scene.down > 3) this.drawMany();
    else this.drawCells(view);
    context.globalAlpha = 1;
    for (const number of this.selected()) this.outline(scene.cell(number), view, "#ffe066", 2);
    if (this.drag && this.drag.band) {
      const [[x0, y0], [x1, y1]] = [this.drag.from, this.drag.to];
      this.outline([Math.min(x0, x1), Math.min(y0, y1), Math.max(x0, x1), Math.max(y0, y1)], view, "#ffe066", 2);
    }
    if (current >= 0) {
      const [left, top, width, height] = scene.window(current);
      this.outline([left, top, left + width, top + height], view, "rgb(0 0 0 / 80%)", 5);
      this.outline([left, top, left + width, top + height], view, "#fff", 2.2);
    }
  }

  drawCells(view) {
    const {context, scene} = this;
    const seen = Labelling.seen(scene, view);
    const thin = view.ratio / view.scale;
    const paths = {"1": new Path2D(), "0": new Path2D(), doubtful: new Path2D()};
    for (let number = 0; number < scene.count; number += 1) {
      const kind = this.kind(number);
      if (!kind) continue;
      const [left, top, right, bottom] = scene.cell(number);
      if (right < seen[0] || left > seen[2] || bottom < seen[1] || top > seen[3]) continue;
      const gap = Math.min(thin, (right - left) / 8);
      paths[kind].rect(left + gap, top + gap, right - left - 2 * gap, bottom - top - 2 * gap);
    }
    const colours = Labelling.colours();
    for (const [kind, path] of Object.entries(paths)) {
      context.fillStyle = colours[kind];
      context.fill(path);
    }
  }

  // Thousands of tiles: one pixel each, made larger. Rows and columns are equally wide but for the first and the last
  // two, since the last tiles are moved back to the edge of the scene.
  drawMany() {
    const {context, scene} = this;
    if (!this.small || this.small.width !== scene.across || this.small.height !== scene.down) {
      this.small = document.createElement("canvas");
      [this.small.width, this.small.height] = [scene.across, scene.down];
    }
    const small = this.small.getContext("2d");
    const pixels = small.createImageData(scene.across, scene.down);
    const values = new Uint32Array(pixels.data.buffer);
    const colours = Object.fromEntries(Object.entries(Labelling.colours()).map(([kind, hex]) => {
      const [red, green, blue] = [1, 3, 5].map((start) => parseInt(hex.slice(start, start + 2), 16));
      return [kind, ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0];
    }));
    for (let number = 0; number < scene.count; number += 1) {
      const kind = this.kind(number);
      if (kind) values[scene.numbers[number]] = colours[kind];
    }
    small.putImageData(pixels, 0, 0);
    context.imageSmoothingEnabled = false;
    const parts = (count) => [[0, 1], [1, count - 2], [count - 2, count - 1], [count - 1, count]];
    for (const [top, bottom] of parts(scene.down)) {
      for (const [left, right] of parts(scene.across)) {
        const [x0, x1, y0, y1] = [scene.xEdges[left], scene.xEdges[right], scene.yEdges[top], scene.yEdges[bottom]];
        context.drawImage(this.small, left, top, right - left, bottom - top, x0, y0, x1 - x0, y1 - y0);
      }
    }
    context.imageSmoothingEnabled = true;
  }

  kind(number) {
    return this.labels.label(number) || (this.labels.isDoubtful(number) ? "doubtful" : "");
  }

  outline([left, top, right, bottom], view, colour, line) {
    this.context.strokeStyle = colour;
    this.context.lineWidth = (line * view.ratio) / view.scale;
    this.context.strokeRect(left, top, right - left, bottom - top);
  }

  // Tiles in the rectangle between the corner that Shift holds and the current tile.
  selected() {
    if (this.corner === null) return [];
    const [[row, col], [other, across]] = [this.corner, this.here];
    const found = [];
    for (let y = Math.min(row, other); y <= Math.max(row, other); y += 1) {
      for (let x = Math.min(col, across); x <= Math.max(col, across); x += 1) {
        const number = this.scene.at(y, x);
        if (number >= 0) found.push(number);
      }
    }
    return found;
  }

  // Arrow keys go to the neighbour, as it lies on the map; Shift selects.
  step(current, right, down, selecting) {
    const [a, b, c, d] = this.scene.matrix;
    // The step in rows and columns that lies closest to the direction on the map.
    const steps = [[0, 1], [0, -1], [1, 0], [-1, 0]];
    const along = ([row, col]) => (a * col + c * row) * right + (b * col + d * row) * down;
    const best = steps.reduce((one, other) => (along(other) > along(one) ? other : one));
    let [row, col] = this.scene.place(current);
    if (selecting && this.corner === null) this.corner = [row, col];
    if (!selecting) this.corner = null;
    do {
      row += best[0];
      col += best[1];
      if (row < 0 || col < 0 || row >= this.scene.down || col >= this.scene.across) return current;
    } while (this.scene.at(row, col) < 0);
    this.here = [row, col];
    return this.scene.at(row, col);
  }

  pixel(event) {
    const view = this.view();
    return Labelling.pixelAt(this.scene, view, event.offsetX * view.ratio, event.offsetY * view.ratio);
  }

  down(event) {
    if (event.button > 0) return;
    this.canvas.focus({preventScroll: true});
    this.canvas.setPointerCapture(event.pointerId);
    const from = this.pixel(event);
    // With Shift a drag is a rectangle.
    const band = Boolean(this.brush) && event.shiftKey;
    this.drag = {from, to: from, band, start: [event.offsetX, event.offsetY], moved: false, first: true};
    this.corner = null;
    if (this.brush && !band) this.paint(this.drag.from, this.drag.from);
  }

  move(event) {
    if (!this.drag) return;
    const to = this.pixel(event);
    if (this.drag.band) {
      this.drag.to = to;
      this.actions.redraw();
      return;
    }
    if (this.brush) {
      this.paint(this.drag.from, to);
      this.drag.from = to;
      return;
    }
    const [x, y] = this.drag.start;
    if (Math.hypot(event.offsetX - x, event.offsetY - y) > 4) this.drag.moved = true;
    if (!this.drag.moved || this.zoom === 1) return;
    this.x += this.drag.from[0] - to[0];
    this.y += this.drag.from[1] - to[1];
    this.actions.redraw();
  }

  up() {
    if (!this.drag) return;
    const {moved, from, to, band} = this.drag;
    this.drag = null;
    if (band) {
      const inside = this.between(from, to);
      if (inside.length) this.actions.paint(inside, this.brush, true);
    }
    if (this.brush) {
      this.actions.painted();
      return;
    }
    const number = this.scene.cellAt(...from);
    if (!moved && number >= 0) this.actions.go(number);
  }

  // Tiles whose middle lies in the rectangle of two corners.
  between([x0, y0], [x1, y1]) {
    const found = [];
    for (let number = 0; number < this.scene.count; number += 1) {
      const [left, top, width, height] = this.scene.window(number);
      const [x, y] = [left + width / 2, top + height / 2];
      if (x >= Math.min(x0, x1) && x <= Math.max(x0, x1) && y >= Math.min(y0, y1) && y <= Math.max(y0, y1)) found.push(number);
    }
    return found;
  }

  // All tiles on the way, however fast the pointer was.
  paint(from, to) {
    const cell = Math.min(this.scene.xEdges[1] - this.scene.xEdges[0], this.scene.yEdges[1] - this.scene.yEdges[0]);
    const steps = Math.max(1, Math.ceil(Math.hypot(to[0] - from[0], to[1] - from[1]) / (cell / 3)));
    const found = new Set();
    for (let index = 0; index <= steps; index += 1) {
      const share = index / steps;
      const number = this.scene.cellAt(from[0] + (to[0] - from[0]) * share, from[1] + (to[1] - from[1]) * share);
      if (number >= 0) found.add(number);
    }
    if (found.size) this.drag.first = !this.actions.paint([...found], this.brush, this.drag.first) && this.drag.first;
  }
};

// Where the page itself scrolls, as on a tablet, the wheel scrolls it, and zooms with Ctrl.
Labelling.zoomsByWheel = (event) => event.ctrlKey || document.documentElement.scrollHeight <= innerHeight + 1;

Labelling.colours = () => {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  return {"1": colour("--yes"), "0": colour("--no"), doubtful: colour("--doubt")};
};
