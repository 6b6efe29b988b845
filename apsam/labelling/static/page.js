"use strict";

// The page: which tile is asked, keys and buttons, lists, progress, download.
(() => {
  const $ = (id) => document.getElementById(id);
  const data = window.APSAM_LABELLING;
  if (!data) {
    $("problem").hidden = false;
    $("problem").textContent = "scenes.js could not be read; it must be next to this page. Copy the whole folder, not only the page.";
    return;
  }
  const scenes = data.scenes.map((one) => new Labelling.Scene(one));
  const states = new Map();
  let scene;
  let labels;
  let queue = [];
  let current = 0;
  let waiting = false;

  const chunks = new Labelling.Chunks(() => arrived());
  const view = new Labelling.View($("picture"), $("scale"), chunks);
  const overview = new Labelling.Overview($("overview"), chunks, {go, redraw: () => redraw(), paint, painted});
  const list = new Labelling.List($("list"), chunks, {go, redraw: () => redraw()});

  // ---- drawing: once a frame at most

  function redraw() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      draw();
    });
  }

  // A picture has arrived. Only what is asked is drawn in this frame, so that no key waits for lists and overview.
  function arrived() {
    drawRestLater();
    if (whole || pictureWaits) return;
    pictureWaits = true;
    requestAnimationFrame(() => {
      pictureWaits = false;
      drawPicture();
    });
  }
  let whole = false;
  let pictureWaits = false;

  function draw() {
    drawPicture();
    overview.draw(current);
    list.draw(current);
  }

  function drawPicture() {
    whole = view.draw(scene, current);
    if (whole) document.documentElement.dataset.shown = scene.name(current);
  }

  function tell() {
    const name = scene.name(current);
    const words = Labelling.words(labels, current);
    const position = list.position(current);
    $("tile-name").textContent = name;
    $("tile-number").textContent = `number ${current} of the run`;
    $("tile-place").textContent = position < 0 ? "not in the list" : `${position + 1} of ${queue.length} in the list`;
    const kind = labels.label(current);
    $("tile-label").textContent = words;
    $("tile-label").dataset.kind = kind === "1" ? "yes" : kind === "0" ? "no" : labels.isDoubtful(current) ? "doubt" : "";
    const suggested = scene.suggested && scene.suggested.why[current];
    $("why").textContent = [suggested, kind ? "" : labels.reason(current)].filter(Boolean).join("; ");
    const [, , width, height] = scene.window(current);
    $("ground").textContent = scene.map
      ? `tile ${length(width * scene.metres)} × ${length(height * scene.metres)}, north up`
      : `${width} × ${height} px`;
    $("picture").setAttribute("aria-label", `Tile ${name}, ${words}`);
    for (const [id, value] of [["yes", "1"], ["no", "0"]]) $(id).setAttribute("aria-pressed", String(kind === value));
    $("undo").disabled = !labels.past.length;
    $("redo").disabled = !labels.future.length;
  }

  function count() {
    const found = labels.counts();
    const labelled = found.positive + found.negative;
    for (const kind of ["positive", "negative", "empty", "doubtful"]) $(`count-${kind}`).textContent = found[kind];
    $("progress").max = scene.count;
    $("progress").value = labelled;
    $("progress-text").textContent = `${labelled} of ${scene.count} tiles labelled`;
    const since = labels.sinceDownload;
    $("saved").textContent = !labels.stored
      ? "This browser cannot store labels of this page: download the table before you close it."
      : since ? `${since} change${since === 1 ? "" : "s"} since the last download, stored in this browser` : "";
    $("saved").dataset.warn = String(!labels.stored);
  }

  function length(metres) {
    return metres >= 1000 ? `${Number((metres / 1000).toPrecision(3))} km` : `${Number(metres.toPrecision(3))} m`;
  }

  function say(text) {
    $("said").textContent = text;
  }

  // ---- which tile

  function go(number) {
    current = number;
    overview.here = scene.place(number);
    list.follow(number);
    overview.follow(number);
    tell();
    // The picture at once; what lies around it after it is shown.
    drawPicture();
    drawRestLater();
    prepare();
  }

  function drawRestLater() {
    if (resting) return;
    resting = true;
    requestAnimationFrame(() => setTimeout(() => {
      resting = false;
      overview.draw(current);
      list.draw(current);
    }));
  }
  let resting = false;

  function prepare() {
    const position = list.position(current);
    for (const next of queue.slice(position + 1, position + 4)) view.prepare(scene, next);
  }

  // Along the list; `open`: to the next that is still in question, where the list is of such tiles.
  function step(by, open = false) {
    let position = list.position(current);
    if (position < 0) position = by > 0 ? lastPosition : lastPosition + 1;
    do {
      position += by;
    } while (open && position < queue.length && !matches(queue[position]));
    if (position < 0 || position >= queue.length) {
      if (by > 0) {
        const empty = labels.counts().empty;
        say(`End of the list. ${empty ? `${empty} tiles have no label.` : "Every tile has a label."}`);
        tell();
        draw();
      }
      return;
    }
    lastPosition = position;
    go(queue[position]);
  }
  let lastPosition = -1;

  function matches(number) {
    return Labelling.matches(labels, $("filter").value, number);
  }

  // The list stays as it is while one labels, so that undo finds its tile; choosing the filter makes it anew.
  function makeList() {
    queue = Labelling.queue(labels, $("filter").value, $("order").value);
    list.show(scene, labels, queue);
    lastPosition = -1;
    $("list-empty").hidden = queue.length > 0;
    $("list-count").textContent = `${queue.length} tile${queue.length === 1 ? "" : "s"}`;
    if (queue.length) {
      lastPosition = 0;
      go(queue[0]);
    } else {
      tell();
      redraw();
    }
  }

  // ---- labels

  function decide(decision) {
    const selected = overview.selected();
    if (selected.length > 1) {
      labels.set(selected, decision, current);
      say(`${selected.length} tiles: ${Labelling.words(labels, selected[0])}`);
      overview.corner = null;
      tell();
      draw();
      return;
    }
    const name = scene.name(current);
    // Space leaves a tile as it is: one without label counts as looked at.
    if (decision !== "-" || !labels.label(current)) labels.set([current], decision, current);
    say(`${name}: ${Labelling.words(labels, current)}`);
    step(1, ["todo", "doubtful"].includes($("filter").value));
  }

  function clear() {
    labels.set(overview.selected().length > 1 ? overview.selected() : [current], "-", current);
    tell();
    draw();
  }

  function undo(again = false) {
    const step = again ? labels.redo() : labels.undo();
    if (!step) return;
    say(`${again ? "Redone" : "Undone"}: ${step.before.length} tile${step.before.length === 1 ? "" : "s"}`);
    go(step.at);
  }

  function paint(numbers, decision, first) {
    let changed = 0;
    if (first) changed = labels.set(numbers, decision, current);
    else labels.extend(numbers, decision);
    redraw();
    return changed;
  }

  function painted() {
    labels.changed(0);
    tell();
    redraw();
  }

  // ---- scenes, tables

  function choose(index) {
    scene = scenes[index];
    if (!states.has(index)) states.set(index, new Labelling.Labels(scene, changed));
    labels = states.get(index);
    overview.show(scene, labels);
    $("question").textContent = `Is there a landslide in the ${scene.isRaster ? "bright square" : "picture"}?`;
    $("overview-title").textContent = scene.isRaster ? "The scene" : "All tiles";
    for (const id of ["closer", "wider"]) $(id).hidden = !scene.isRaster;
    for (const option of $("order").options) {
      if (option.value === "suggested") option.hidden = option.disabled = !scene.wanted.size;
    }
    for (const option of $("filter").options) {
      if (option.value === "check") option.hidden = option.disabled = !scene.suspects.size;
    }
    $("order").value = scene.wanted.size ? "suggested" : "doubtful";
    $("filter").value = "todo";
    const shown = scene.drawn.length ? " Its shapes are drawn in pink (L)." : "";
    $("source").textContent = scene.source ? `Labels of ${scene.source} are filled in.${shown}` : "";
    document.title = `${scene.scene} – label tiles`;
    count();
    makeList();
    if (!queue.length) {
      $("filter").value = "all";
      makeList();
    }
  }

  function changed() {
    count();
    if (labels) drawRestLater();
  }

  function download() {
    const link = document.createElement("a");
    const address = URL.createObjectURL(new Blob([Labelling.table.write(labels)], {type: "text/csv"}));
    link.href = address;
    link.download = `${scene.scene}_labels.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
    labels.sinceDownload = 0;
    labels.save();
    count();
    say(`Table of ${scene.scene} downloaded`);
  }

  async function open(file) {
    try {
      const done = labels.setEach(Labelling.table.read(await file.text(), scene), current);
      $("problem").hidden = true;
      say(`${done} labels read from ${file.name}`);
      makeList();
    } catch (error) {
      $("problem").hidden = false;
      $("problem").textContent = `${file.name}: ${error.message} Nothing was changed.`;
    }
  }

  // ---- keys

  const keys = {
    "1": () => decide("1"), y: () => decide("1"), "0": () => decide("0"), n: () => decide("0"),
    " ": () => decide("-"), Delete: clear, Backspace: clear,
    ArrowRight: () => step(1), ArrowLeft: () => step(-1), ArrowDown: () => step(list.measure().columns),
    ArrowUp: () => step(-list.measure().columns),
    Home: () => { if (queue.length) go(queue[0]); }, End: () => { if (queue.length) go(queue[queue.length - 1]); },
    u: () => undo(), U: () => undo(true), r: () => undo(true),
    "+": () => zoom(0.8), "=": () => zoom(0.8), "-": () => zoom(1.25),
    l: () => { view.shapes = !view.shapes; draw(); },
    d: () => { view.dimmed = !view.dimmed; draw(); },
    Escape: () => { overview.corner = null; $("picture").focus(); draw(); },
  };

  function zoom(factor) {
    view.zoom(factor);
    draw();
  }

  document.addEventListener("keydown", (event) => {
    const {target, key} = event;
    if ((event.ctrlKey || event.metaKey) && key.toLowerCase() === "z") {
      event.preventDefault();
      undo(event.shiftKey);
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (target.closest("select, input, textarea, summary")) return;
    // Space and Enter press the button that has the focus.
    if (target.closest("button, a") && [" ", "Enter"].includes(key)) return;
    if (target === $("overview") && key.startsWith("Arrow")) {
      const [right, down] = {ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1]}[key];
      event.preventDefault();
      go(overview.step(current, right, down, event.shiftKey));
      return;
    }
    if (target === $("overview") && ["+", "=", "-"].includes(key)) {
      overview.zoomBy(key === "-" ? 0.8 : 1.25);
      return;
    }
    const action = keys[key];
    if (!action) return;
    event.preventDefault();
    action();
  });

  // A button clicked with the pointer gives the focus back, so that the space bar does not press it again.
  function button(id, action) {
    $(id).addEventListener("click", (event) => {
      action();
      if (event.detail > 0) $("picture").focus({preventScroll: true});
    });
  }

  button("yes", () => decide("1"));
  button("no", () => decide("0"));
  button("leave", () => decide("-"));
  button("undo", () => undo());
  button("redo", () => undo(true));
  button("previous", () => step(-1));
  button("next", () => step(1));
  button("wider", () => zoom(1.25));
  button("closer", () => zoom(0.8));
  button("overview-closer", () => overview.zoomBy(1.5));
  button("overview-wider", () => overview.zoomBy(1 / 1.5));
  button("download", download);
  button("open", () => $("file").click());
  $("file").addEventListener("change", () => {
    if ($("file").files.length) open($("file").files[0]);
    $("file").value = "";
  });
  for (const id of ["filter", "order"]) $(id).addEventListener("change", makeList);
  for (const one of document.querySelectorAll("[name=brush]")) {
    one.addEventListener("change", () => overview.setBrush(one.value));
  }
  overview.setBrush("");
  $("picture").addEventListener("wheel", (event) => {
    if (!Labelling.zoomsByWheel(event)) return;
    event.preventDefault();
    zoom(event.deltaY < 0 ? 0.9 : 1.1);
  }, {passive: false});
  scenes.forEach((one, index) => $("scene").add(new Option(one.scene, index)));
  $("scene-box").hidden = scenes.length < 2;
  $("scene").addEventListener("change", () => choose(Number($("scene").value)));
  addEventListener("beforeunload", (event) => {
    if ([...states.values()].some((one) => !one.stored && one.sinceDownload)) event.preventDefault();
  });
  new ResizeObserver(redraw).observe($("list"));
  new ResizeObserver(redraw).observe($("picture"));
  new ResizeObserver(redraw).observe($("overview"));

  Labelling.theme($("theme"), redraw);
  button("theme", () => {});
  choose(0);
  $("picture").focus({preventScroll: true});
})();
