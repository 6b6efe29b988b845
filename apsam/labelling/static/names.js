"use strict";

// The tiles of a scene: their names, windows, and the part of the overview that stands for each.
const Labelling = {};

Labelling.Scene = class {
  constructor(data) {
    Object.assign(this, data);
    this.count = this.numbers.length;
    this.isRaster = this.kind === "raster";
    const m = this.map || [1, 0, 0, 1];
    // Metres a pixel, and the matrix that turns pixels north up without making them larger.
    this.metres = Math.sqrt(Math.abs(m[0] * m[3] - m[1] * m[2]));
    this.matrix = m.map((value) => value / this.metres);
    this.numberOf = new Int32Array(this.tiles).fill(-1);
    this.numbers.forEach((candidate, number) => { this.numberOf[candidate] = number; });
    if (this.isRaster) {
      this.xEdges = edges(this.cols, this.size, this.width);
      this.yEdges = edges(this.rows, this.size, this.height);
    } else {
      const columns = Math.round(this.width / this.chunk);
      const rows = Math.round(this.height / this.chunk);
      this.xEdges = Array.from({length: columns + 1}, (_, index) => index * this.chunk);
      this.yEdges = Array.from({length: rows + 1}, (_, index) => index * this.chunk);
    }
    // Suggested tiles and suspect labels, with their places in the order.
    const placed = (numbers) => new Map(numbers.map((number, place) => [number, place]));
    this.wanted = placed(this.suggested ? this.suggested.look : []);
    this.suspects = placed(this.suggested ? this.suggested.check : []);
    // Lines and points of existing labels, with the pixels that they lie in.
    this.drawn = this.shapes.map((line) => {
      const [xs, ys] = [line.filter((_, index) => index % 2 === 0), line.filter((_, index) => index % 2)];
      const smallest = (values) => values.reduce((one, other) => Math.min(one, other));
      const largest = (values) => values.reduce((one, other) => Math.max(one, other));
      return {line, box: [smallest(xs), smallest(ys), largest(xs), largest(ys)]};
    });
    this.across = this.xEdges.length - 1;
    this.down = this.yEdges.length - 1;
  }

  // Name of a candidate tile; `number` counts the tiles of the run, which leaves out those without data.
  candidateName(candidate) {
    if (!this.isRaster) return this.names[candidate];
    return `r${this.rows[Math.floor(candidate / this.across)]}_c${this.cols[candidate % this.across]}`;
  }

  name(number) {
    return this.candidateName(this.numbers[number]);
  }

  // Left, top, width, height in pixels of the scene, or of the mosaic of a folder.
  window(number) {
    const candidate = this.numbers[number];
    if (!this.isRaster) {
      const [row, col, height, width] = this.windows[candidate];
      return [col, row, width, height];
    }
    return [this.cols[candidate % this.across], this.rows[Math.floor(candidate / this.across)], this.size, this.size];
  }

  // Row and column among the candidates.
  place(number) {
    const candidate = this.numbers[number];
    return [Math.floor(candidate / this.across), candidate % this.across];
  }

  at(row, col) {
    if (row < 0 || col < 0 || row >= this.down || col >= this.across) return -1;
    const candidate = row * this.across + col;
    return candidate < this.tiles ? this.numberOf[candidate] : -1;
  }

  // Overlapping tiles share pixels: on the overview a tile is what is nearest to its centre. Left, top, right, bottom.
  cell(number) {
    const [row, col] = this.place(number);
    return [this.xEdges[col], this.yEdges[row], this.xEdges[col + 1], this.yEdges[row + 1]];
  }

  cellAt(x, y) {
    return this.at(slot(this.yEdges, y), slot(this.xEdges, x));
  }
};

function edges(starts, size, length) {
  const found = [0];
  for (let index = 1; index < starts.length; index += 1) found.push((starts[index - 1] + starts[index] + size) / 2);
  return [...found, Math.max(length, 1)];
}

function slot(limits, value) {
  if (value < limits[0] || value >= limits[limits.length - 1]) return -1;
  let low = 0;
  let high = limits.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (limits[middle] <= value) low = middle;
    else high = middle;
  }
  return low;
}
