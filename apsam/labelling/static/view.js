"use strict";

// The picture of one tile in its surroundings, which are dimmed.
Labelling.View = class {
  constructor(canvas, scaleBar, chunks) {
    Object.assign(this, {canvas, scaleBar, chunks});
    this.context = canvas.getContext("2d", {alpha: false});
    // Sides of the picture in sides of the tile.
    this.surroundings = 2;
    this.dimmed = true;
    this.shapes = true;
  }

  frame(scene, number) {
    const [left, top, width, height] = scene.window(number);
    const {width: wide, height: tall, ratio} = Labelling.fit(this.canvas);
    // A tile of a folder has no surroundings that belong to it.
    const shown = scene.isRaster ? this.surroundings : 1;
    // Turned scenes need more room: their tiles stand on a corner.
    const [a, b, c, d] = scene.matrix.map(Math.abs);
    const scale = Math.min(wide / (shown * (a * width + c * height)), tall / (shown * (b * width + d * height)));
    return {x: left + width / 2, y: top + height / 2, scale, width: wide, height: tall, ratio};
  }

  draw(scene, number) {
    const view = this.frame(scene, number);
    const {context} = this;
    const [left, top, width, height] = scene.window(number);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "#808080";
    context.fillRect(0, 0, view.width, view.height);
    const box = scene.isRaster ? null : [left, top, left + width, top + height];
    const whole = this.chunks.draw(context, scene, view, box);
    if (scene.isRaster) {
      Labelling.place(context, scene, view);
      if (this.dimmed) {
        const [x0, y0, x1, y1] = Labelling.seen(scene, view);
        context.beginPath();
        context.rect(x0 - 2, y0 - 2, x1 - x0 + 4, y1 - y0 + 4);
        context.rect(left, top, width, height);
        context.fillStyle = "rgb(10 12 15 / 48%)";
        context.fill("evenodd");
      }
      if (this.shapes) Labelling.drawShapes(context, scene, view, 1.5);
      // Dark and light line: one of them shows on any ground.
      for (const [colour, line] of [["rgb(0 0 0 / 70%)", 4], ["#fff", 1.6]]) {
        context.strokeStyle = colour;
        context.lineWidth = (line * view.ratio) / view.scale;
        context.strokeRect(left, top, width, height);
      }
    }
    this.drawScale(scene, view);
    return whole;
  }

  drawScale(scene, view) {
    this.scaleBar.hidden = !scene.map;
    if (!scene.map) return;
    // Metres that a quarter of the picture shows, rounded down to 1, 2 or 5 with zeros.
    const metres = ((view.width / view.scale) * scene.metres) / 4;
    const power = 10 ** Math.floor(Math.log10(metres));
    const length = power * [5, 2, 1].find((step) => step * power <= metres);
    const [bar, text] = this.scaleBar.children;
    bar.style.width = `${((length / scene.metres) * view.scale) / view.ratio}px`;
    text.textContent = length >= 1000 ? `${length / 1000} km` : `${Number(length.toPrecision(3))} m`;
  }

  zoom(factor) {
    this.surroundings = Math.max(1, Math.min(12, this.surroundings * factor));
  }

  prepare(scene, number) {
    this.chunks.prepare(scene, this.frame(scene, number));
  }
};
