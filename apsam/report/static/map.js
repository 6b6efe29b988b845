// The map viewer: one SVG a scene, its viewBox is what is seen. Layers are shared by all scenes.
(() => {
  const viewer = document.getElementById("viewer");
  if (!viewer) return;
  const DEEPEST = 32;
  const maps = [...viewer.querySelectorAll(".map")];
  const stage = viewer.querySelector(".stage");
  const picker = document.getElementById("scene");
  const bar = document.getElementById("scale-bar");
  const place = document.getElementById("place");
  const hint = document.getElementById("wheel-hint");
  const views = new Map();
  let current = maps[0];

  const size = (map) => ({ w: Number(map.dataset.width), h: Number(map.dataset.height) });

  // What is seen has the shape of the stage, so that the map fills it at every zoom.
  const whole = (map) => {
    const { w, h } = size(map);
    const shape = map.clientWidth / map.clientHeight || 1;
    const wide = Math.max(w, h * shape);
    return { x: (w - wide) / 2, y: (h - wide / shape) / 2, w: wide, h: wide / shape };
  };

  const draw = () => {
    const view = views.get(current);
    current.querySelector("svg").setAttribute("viewBox", `${view.x} ${view.y} ${view.w} ${view.h}`);
    current.classList.toggle("zoomed", view.w < whole(current).w * 0.999);
    drawScale(view);
  };

  const drawScale = (view) => {
    const metres = Number(current.dataset.metres);
    bar.hidden = !metres;
    if (!metres) return;
    const perPixel = (metres * view.w) / current.clientWidth;
    const most = perPixel * 130;
    const power = 10 ** Math.floor(Math.log10(most));
    const length = [5, 2, 1].map((step) => step * power).find((value) => value <= most);
    bar.style.width = `${length / perPixel}px`;
    bar.firstElementChild.textContent = length >= 1000 ? `${length / 1000} km` : `${length} m`;
  };

  const keepInside = (view) => {
    const all = whole(current);
    const { w, h } = size(current);
    view.w = Math.min(Math.max(view.w, all.w / DEEPEST), all.w);
    view.h = (view.w * all.h) / all.w;
    view.x = view.w >= w ? (w - view.w) / 2 : Math.min(Math.max(view.x, 0), w - view.w);
    view.y = view.h >= h ? (h - view.h) / 2 : Math.min(Math.max(view.y, 0), h - view.h);
    return view;
  };

  const setView = (view) => {
    views.set(current, keepInside(view));
    draw();
  };

  // A point of the screen as shares of the map's box.
  const shares = (event) => {
    const box = current.getBoundingClientRect();
    return { x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height };
  };

  const zoom = (factor, at = { x: 0.5, y: 0.5 }) => {
    const old = views.get(current);
    const w = Math.min(Math.max(old.w / factor, whole(current).w / DEEPEST), whole(current).w);
    const h = (w * old.h) / old.w;
    setView({ x: old.x + at.x * (old.w - w), y: old.y + at.y * (old.h - h), w, h });
  };

  const move = (across, down) => {
    const view = views.get(current);
    setView({ ...view, x: view.x + across * view.w, y: view.y + down * view.h });
  };

  const choose = (map) => {
    current = map;
    for (const other of maps) other.hidden = other !== map;
    picker.value = map.dataset.scene;
    document.getElementById("scene-facts").textContent = map.dataset.facts;
    for (const row of viewer.querySelectorAll("[data-row]")) {
      const absent = !map.querySelector(`[data-layer="${row.dataset.row}"]`);
      row.classList.toggle("absent", absent);
      row.title = absent ? "Not there for this scene" : "";
      for (const input of row.querySelectorAll("input")) input.disabled = absent;
    }
    place.textContent = "";
    setView(views.get(map) || whole(map));
  };

  const toggle = (key, on) => {
    for (const layer of viewer.querySelectorAll(`[data-layer="${key}"]`)) {
      if (on) layer.removeAttribute("display");
      else layer.setAttribute("display", "none");
    }
    viewer.querySelector(`[data-row="${key}"]`).classList.toggle("on", on);
  };

  const zooms = { in: () => zoom(1.5), out: () => zoom(1 / 1.5), all: () => setView(whole(current)) };
  const keys = {
    ArrowLeft: () => move(-0.15, 0),
    ArrowRight: () => move(0.15, 0),
    ArrowUp: () => move(0, -0.15),
    ArrowDown: () => move(0, 0.15),
    "+": zooms.in,
    "=": zooms.in,
    "-": zooms.out,
    0: zooms.all,
  };

  stage.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const letter = viewer.querySelector(`[data-letter="${CSS.escape(event.key.toLowerCase())}"]`);
    if (letter) letter.click();
    else if (keys[event.key]) keys[event.key]();
    else return;
    event.preventDefault();
  });

  // Until the map has the focus the wheel scrolls the page, so that nobody is trapped on the way down.
  let hinted;
  stage.addEventListener(
    "wheel",
    (event) => {
      if (!stage.contains(document.activeElement) && !event.ctrlKey) {
        hint.classList.add("shown");
        clearTimeout(hinted);
        hinted = setTimeout(() => hint.classList.remove("shown"), 1200);
        return;
      }
      event.preventDefault();
      zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0018)), shares(event));
    },
    { passive: false },
  );

  // One pointer moves, two zoom.
  const pointers = new Map();
  const spread = () => {
    const [a, b] = [...pointers.values()];
    return Math.hypot(a.x - b.x, a.y - b.y);
  };
  for (const map of maps) {
    map.addEventListener("pointerdown", (event) => {
      map.focus({ preventScroll: true });
      pointers.set(event.pointerId, shares(event));
      map.setPointerCapture(event.pointerId);
    });
    map.addEventListener("pointermove", (event) => {
      tellPlace(event);
      if (!pointers.has(event.pointerId)) return;
      const last = pointers.get(event.pointerId);
      const now = shares(event);
      const before = pointers.size === 2 ? spread() : 0;
      pointers.set(event.pointerId, now);
      if (pointers.size === 2) {
        const [a, b] = [...pointers.values()];
        if (before > 0) zoom(spread() / before, { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 });
      } else {
        move(last.x - now.x, last.y - now.y);
      }
    });
    for (const end of ["pointerup", "pointercancel"]) {
      map.addEventListener(end, (event) => pointers.delete(event.pointerId));
    }
    map.addEventListener("pointerleave", () => (place.textContent = ""));
    map.addEventListener("dblclick", (event) => zoom(2, shares(event)));
  }

  const tellPlace = (event) => {
    if (!current.dataset.transform) return;
    const [a, b, c, d, e, f] = JSON.parse(current.dataset.transform);
    const view = views.get(current);
    const at = shares(event);
    const x = view.x + at.x * view.w;
    const y = view.y + at.y * view.h;
    // A millionth of a degree is a decimetre; pixels of degrees have a size in metres too.
    const degrees = "geographic" in current.dataset;
    const digits = current.dataset.metres && !degrees ? 1 : 6;
    const [east, north] = [a * x + b * y + c, d * x + e * y + f].map((v) => v.toFixed(digits));
    place.textContent = degrees ? `Lon ${east}°  Lat ${north}°` : digits === 1 ? `E ${east}  N ${north}` : `${east}, ${north}`;
  };

  viewer.querySelectorAll("[data-zoom]").forEach((button) => {
    button.addEventListener("click", zooms[button.dataset.zoom]);
  });
  viewer.querySelectorAll("[data-toggle]").forEach((box) => {
    box.addEventListener("change", () => toggle(box.dataset.toggle, box.checked));
    toggle(box.dataset.toggle, box.checked);
  });
  viewer.querySelectorAll("[data-opacity]").forEach((slider) => {
    slider.addEventListener("input", () => {
      for (const layer of viewer.querySelectorAll(`[data-layer="${slider.dataset.opacity}"]`)) {
        layer.setAttribute("opacity", slider.value / 100);
      }
    });
  });
  picker.addEventListener("change", () => choose(maps.find((map) => map.dataset.scene === picker.value)));
  new ResizeObserver(() => setView(views.get(current).w < whole(current).w ? views.get(current) : whole(current))).observe(stage);

  const frame = (place) => {
    viewer.querySelectorAll(".frame").forEach((old) => old.remove());
    for (const kind of ["frame casing", "frame line"]) {
      const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      rect.setAttribute("class", kind);
      rect.setAttribute("vector-effect", "non-scaling-stroke");
      for (const [name, value] of Object.entries(place)) rect.setAttribute(name, value);
      current.querySelector("svg").append(rect);
    }
  };

  // From the gallery: the tile in a frame, with half a tile around it.
  document.querySelectorAll("[data-show]").forEach((button) => {
    const map = maps.find((one) => one.dataset.scene === button.dataset.show);
    if (!map) return;
    button.hidden = false;
    button.addEventListener("click", () => {
      choose(map);
      const scale = Number(map.dataset.scale);
      const [row, col, height, width] = button.dataset.window.split(",").map((v) => Number(v) * scale);
      const all = whole(map);
      const w = Math.max(width * 2, (height * 2 * all.w) / all.h);
      const h = (w * all.h) / all.w;
      setView({ x: col + width / 2 - w / 2, y: row + height / 2 - h / 2, w, h });
      frame({ x: col, y: row, width, height });
      map.focus({ preventScroll: true });
      viewer.scrollIntoView({ block: "start" });
    });
  });

  viewer.classList.add("ready");
  choose(maps[0]);
})();
