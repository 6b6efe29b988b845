"use strict";

// Pictures of a scene, drawn from chunks that lie beside the page; only the last ones used stay in memory.
Labelling.Chunks = class {
  constructor(onLoad, most = 48) {
    this.onLoad = onLoad;
    this.most = most;
    this.kept = new Map();
  }

  // The picture, or null while it is loaded.
  get(address) {
    let entry = this.kept.get(address);
    if (entry) {
      this.kept.delete(address);
      this.kept.set(address, entry);
      return entry.bitmap;
    }
    entry = {bitmap: null};
    this.kept.set(address, entry);
    this.load(address, entry);
    while (this.kept.size > this.most) {
      const [oldest, gone] = this.kept.entries().next().value;
      this.kept.delete(oldest);
      if (gone.bitmap) gone.bitmap.close();
    }
    return null;
  }

  // A bitmap can be closed, which gives its memory back at once; a picture's pixels stay until the browser likes.
  load(address, entry) {
    const image = new Image();
    image.onload = async () => {
      if (this.kept.get(address) !== entry) return;
      const bitmap = await createImageBitmap(image);
      image.removeAttribute("src");
      if (this.kept.get(address) !== entry) {
        bitmap.close();
        return;
      }
      entry.bitmap = bitmap;
      this.onLoad();
    };
    image.src = address;
  }

  level(scene, scale) {
    const wanted = Math.floor(Math.log2(1 / scale) + 0.25);
    return Math.max(0, Math.min(scene.levels.length - 1, wanted));
  }

  // Draw what of the scene a canvas shows. `view`: x, y (pixel of the scene in the middle), scale (device pixels a
  // pixel), and in device pixels width and height; `box`, if given: left, top, right, bottom, nothing beyond is drawn.
  // Returns whether everything was there.
  draw(context, scene, view, box = null) {
    Labelling.place(context, scene, view);
    const seen = box || Labelling.seen(scene, view);
    let whole = true;
    if (box) {
      context.save();
      context.beginPath();
      context.rect(box[0], box[1], box[2] - box[0], box[3] - box[1]);
      context.clip();
    }
    const level = this.level(scene, view.scale);
    const top = scene.levels.length - 1;
    // A coarse picture stands in until the fine one is there.
    const levels = level === top ? [top] : [top, level];
    for (const one of levels) {
      const step = scene.chunk * 2 ** one;
      const {rows, cols, missing} = scene.levels[one];
      for (let row = clamp(seen[1] / step, rows); row <= clamp((seen[3] - 1e-6) / step, rows); row += 1) {
        for (let col = clamp(seen[0] / step, cols); col <= clamp((seen[2] - 1e-6) / step, cols); col += 1) {
          if (missing.includes(row * cols + col)) continue;
          const image = this.get(`${scene.pictures}/${one}/${row}_${col}.jpg`);
          if (!image) {
            if (one === level) whole = false;
            continue;
          }
          // A little larger, so that no seam shows between two chunks.
          const more = 0.6 / view.scale;
          const [wide, tall] = [image.width * 2 ** one, image.height * 2 ** one];
          context.drawImage(image, col * step, row * step, wide + more, tall + more);
        }
      }
    }
    if (box) context.restore();
    return whole;
  }

  // Load what a view will need.
  prepare(scene, view) {
    const seen = Labelling.seen(scene, view);
    const level = this.level(scene, view.scale);
    const step = scene.chunk * 2 ** level;
    const {rows, cols, missing} = scene.levels[level];
    for (let row = clamp(seen[1] / step, rows); row <= clamp(seen[3] / step, rows); row += 1) {
      for (let col = clamp(seen[0] / step, cols); col <= clamp(seen[2] / step, cols); col += 1) {
        if (!missing.includes(row * cols + col)) this.get(`${scene.pictures}/${level}/${row}_${col}.jpg`);
      }
    }
  }
};

function clamp(value, count) {
  return Math.max(0, Math.min(count - 1, Math.floor(value)));
}

// Make a canvas speak in pixels of the scene, north up.
Labelling.place = (context, scene, view) => {
  const [a, b, c, d] = scene.matrix.map((value) => value * view.scale);
  context.setTransform(a, b, c, d, view.width / 2 - a * view.x - c * view.y, view.height / 2 - b * view.x - d * view.y);
};

// Pixel of the scene at a device pixel of the canvas.
Labelling.pixelAt = (scene, view, x, y) => {
  const [a, b, c, d] = scene.matrix.map((value) => value * view.scale);
  const [right, down] = [x - view.width / 2, y - view.height / 2];
  const determinant = a * d - b * c;
  return [view.x + (d * right - c * down) / determinant, view.y + (a * down - b * right) / determinant];
};

// Left, top, right, bottom of the pixels that a canvas shows.
Labelling.seen = (scene, view) => {
  const corners = [[0, 0], [view.width, 0], [0, view.height], [view.width, view.height]];
  const points = corners.map(([x, y]) => Labelling.pixelAt(scene, view, x, y));
  const [xs, ys] = [points.map(([x]) => x), points.map(([, y]) => y)];
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
};

// Draw the shapes of existing labels, in a canvas that speaks in pixels of the scene.
Labelling.drawShapes = (context, scene, view, wide) => {
  const [x0, y0, x1, y1] = Labelling.seen(scene, view);
  const path = new Path2D();
  const pixel = view.ratio / view.scale;
  for (const {line, box} of scene.drawn) {
    if (box[2] < x0 || box[0] > x1 || box[3] < y0 || box[1] > y1) continue;
    if (line.length === 2) {
      path.moveTo(line[0] + 4 * pixel, line[1]);
      path.arc(line[0], line[1], 4 * pixel, 0, 7);
    } else for (let index = 0; index < line.length; index += 2) {
      if (index) path.lineTo(line[index], line[index + 1]);
      else path.moveTo(line[0], line[1]);
    }
  }
  for (const [colour, width] of [["rgb(0 0 0 / 65%)", wide + 2], ["#ff4fd8", wide]]) {
    context.strokeStyle = colour;
    context.lineWidth = width * pixel;
    context.stroke(path);
  }
};

// Fit a canvas to its place on the page; its size in device pixels.
Labelling.fit = (canvas) => {
  const ratio = Math.min(2, devicePixelRatio || 1);
  const [width, height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  return {width, height, ratio};
};
