"use strict";

// What a table may say of a tile, as the workflow reads it (apsam/tiles/labels.py).
const LABELS = new Map([["", ""], ["0", "0"], ["1", "1"], ["false", "0"], ["true", "1"], ["nan", ""], ["<na>", ""]]);

// Label tables: CSV with the columns scene, grid, tile, label, as the workflow's scene sheet takes it.
Labelling.table = {
  write(labels) {
    const {scene} = labels;
    const lines = ["scene,grid,tile,label"];
    const head = `${quoted(scene.scene)},${quoted(scene.grid)},`;
    for (let candidate = 0; candidate < scene.tiles; candidate += 1) {
      const number = scene.numberOf[candidate];
      // Tiles without data are listed too, and are empty.
      lines.push(head + quoted(scene.candidateName(candidate)) + "," + (number < 0 ? "" : labels.label(number)));
    }
    return lines.join("\n") + "\n";
  },

  // Pairs of number and label. Throws an Error whose message is for a person.
  read(text, scene) {
    const rows = parse(text.replace(/^\uFEFF/, ""));
    const columns = (rows.shift() || []).map((one) => one.trim().toLowerCase());
    const [tile, label, name, grid] = ["tile", "label", "scene", "grid"].map((one) => columns.indexOf(one));
    if (tile < 0 || label < 0) throw new Error("The file has no columns “tile” and “label”.");
    const numbers = new Map();
    scene.numbers.forEach((_, number) => numbers.set(scene.name(number), number));
    const known = new Set(Array.from({length: scene.tiles}, (_, candidate) => scene.candidateName(candidate)));
    const pairs = [];
    for (const row of rows) {
      if (row.every((cell) => !cell.trim())) continue;
      if (name >= 0 && row[name] && row[name] !== scene.scene) {
        throw new Error(`The table is of the scene “${row[name]}”, but this is “${scene.scene}”.`);
      }
      if (grid >= 0 && row[grid] && row[grid] !== scene.grid) {
        throw new Error(`The table is of other tiles (${row[grid]}); these are ${scene.grid}.`);
      }
      const tileName = (row[tile] || "").trim();
      if (!known.has(tileName)) throw new Error(`The table names the tile “${tileName}”, which this scene does not have.`);
      const value = LABELS.get((row[label] || "").trim().toLowerCase().replace(/^([01])\.0*$/, "$1"));
      if (value === undefined) throw new Error(`The label “${row[label]}” is not 0, 1 or empty.`);
      if (value && numbers.has(tileName)) pairs.push([numbers.get(tileName), value]);
    }
    return pairs;
  },
};

function quoted(text) {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function parse(text) {
  const rows = [];
  let row = [];
  let cell = "";
  let inside = false;
  for (let index = 0; index < text.length; index += 1) {
    const letter = text[index];
    if (inside) {
      if (letter !== '"') cell += letter;
      else if (text[index + 1] === '"') { cell += '"'; index += 1; } else inside = false;
    } else if (letter === '"') inside = true;
    else if (letter === ",") { row.push(cell); cell = ""; } else if (letter === "\n" || letter === "\r") {
      if (letter === "\r" && text[index + 1] === "\n") index += 1;
      row.push(cell);
      rows.push(row);
      row = [];
      cell = "";
    } else cell += letter;
  }
  if (cell || row.length) rows.push([...row, cell]);
  return rows;
}
