"use strict";

// The labels of one scene: what a file said before, what was decided here, undo, and the browser's storage.
Labelling.Labels = class {
  // A decision is "0", "1", "-" (looked at and left empty) or "." (none: what the file said holds).
  constructor(scene, onChange) {
    this.scene = scene;
    this.onChange = onChange;
    this.doubtful = new Uint8Array(scene.count);
    scene.doubtful.forEach((number) => { this.doubtful[number] = 1; });
    this.key = `apsam-label/${scene.scene}/${scene.grid}`;
    this.decisions = new Array(scene.count).fill(".");
    // Tiles that were labelled here, and otherwise in the file since: nobody knows which is right.
    this.conflicts = new Map();
    this.past = [];
    this.future = [];
    this.sinceDownload = 0;
    this.stored = true;
    this.load();
    // The same scene in another tab: what is decided there is decided here too.
    addEventListener("storage", (event) => {
      if (event.key !== this.key) return;
      this.load();
      this.onChange();
    });
  }

  // "0", "1" or "" (empty).
  label(number) {
    const decision = this.decisions[number];
    if (decision === "-" || (decision === "." && this.conflicts.has(number))) return "";
    const label = decision === "." ? this.scene.existing[number] : decision;
    return label === "." ? "" : label;
  }

  isDoubtful(number) {
    return (this.doubtful[number] === 1 || this.conflicts.has(number)) && this.decisions[number] === ".";
  }

  isDecided(number) {
    return this.decisions[number] !== ".";
  }

  isLeft(number) {
    return this.decisions[number] === "-";
  }

  reason(number) {
    const [here] = this.conflicts.get(number) || [];
    const words = {0: "no landslide", 1: "landslide"};
    if (here) return `labelled ${words[here]} here, and ${words[this.scene.existing[number]]} in ${this.scene.source} since`;
    return this.scene.reason.length ? this.scene.reasons[this.scene.reason[number]] : "";
  }

  counts() {
    const found = {positive: 0, negative: 0, empty: 0, doubtful: 0, decided: 0, left: 0};
    for (let number = 0; number < this.scene.count; number += 1) {
      const label = this.label(number);
      found[label === "1" ? "positive" : label === "0" ? "negative" : "empty"] += 1;
      if (this.isDoubtful(number)) found.doubtful += 1;
      if (this.decisions[number] !== ".") found.decided += 1;
      if (this.decisions[number] === "-") found.left += 1;
    }
    return found;
  }

  // One step for undo. `at`: the tile that was shown, which undo goes back to.
  set(numbers, decision, at) {
    const before = [];
    for (const number of numbers) {
      if (this.decisions[number] === decision) continue;
      before.push([number, this.decisions[number]]);
      this.decisions[number] = decision;
    }
    if (before.length) this.remember({before, after: decision, at});
    return before.length;
  }

  // Several decisions at once, from a table: pairs of number and decision.
  setEach(pairs, at) {
    const before = [];
    for (const [number, decision] of pairs) {
      if (this.label(number) === decision) continue;
      before.push([number, this.decisions[number], decision]);
      this.decisions[number] = decision;
    }
    if (before.length) this.remember({before, at});
    return before.length;
  }

  // Drags are one step: decisions of the same drag join the last one.
  extend(numbers, decision) {
    const step = this.past[this.past.length - 1];
    for (const number of numbers) {
      if (this.decisions[number] === decision) continue;
      step.before.push([number, this.decisions[number]]);
      this.decisions[number] = decision;
      this.sinceDownload += 1;
    }
  }

  remember(step) {
    this.past.push(step);
    this.future = [];
    this.changed(step.before.length);
  }

  changed(count) {
    this.sinceDownload += count;
    this.save();
    this.onChange();
  }

  undo() {
    const step = this.past.pop();
    if (!step) return null;
    step.redo = step.before.map(([number]) => this.decisions[number]);
    for (const [number, decision] of [...step.before].reverse()) this.decisions[number] = decision;
    this.future.push(step);
    this.changed(step.before.length);
    return step;
  }

  redo() {
    const step = this.future.pop();
    if (!step) return null;
    step.before.forEach(([number], index) => { this.decisions[number] = step.redo[index]; });
    this.past.push(step);
    this.changed(step.before.length);
    return step;
  }

  // A raster's decisions are stored by candidate tile, a folder's by file name: neither moves when the number of
  // tiles with data changes, or a file is added.
  // Beside each decision stands what the file said then.
  save() {
    let decisions;
    let files;
    if (this.scene.isRaster) {
      const all = new Array(this.scene.tiles).fill(".");
      const said = new Array(this.scene.tiles).fill(".");
      // What an older page decided of tiles that this one leaves out stays.
      for (const [candidate, decision, file] of this.others || []) [all[candidate], said[candidate]] = [decision, file];
      this.scene.numbers.forEach((candidate, number) => {
        [all[candidate], said[candidate]] = this.kept(number);
      });
      [decisions, files] = [all.join(""), said.join("")];
    } else {
      decisions = {...this.others};
      this.decisions.forEach((_, number) => {
        const [decision, file] = this.kept(number);
        if (decision !== ".") decisions[this.scene.name(number)] = decision + file;
      });
    }
    try {
      const kept = {version: 1, decisions, files, sinceDownload: this.sinceDownload};
      localStorage.setItem(this.key, JSON.stringify(kept));
      this.stored = true;
    } catch {
      this.stored = false;
    }
  }

  load() {
    let kept = null;
    try {
      kept = JSON.parse(localStorage.getItem(this.key));
      // Whether anything can be stored is known before the first label, not after it.
      localStorage.setItem("apsam-label-probe", "1");
      localStorage.removeItem("apsam-label-probe");
    } catch {
      this.stored = false;
    }
    if (!kept || kept.version !== 1) return;
    this.sinceDownload = kept.sinceDownload || 0;
    const fits = /^[01.-]$/;
    this.conflicts.clear();
    if (this.scene.isRaster) {
      this.others = [];
      [...String(kept.decisions)].forEach((decision, candidate) => {
        if (candidate >= this.scene.tiles || !fits.test(decision)) return;
        const number = this.scene.numberOf[candidate];
        const file = String(kept.files)[candidate] || ".";
        if (number >= 0) this.take(number, decision, file);
        else if (decision !== ".") this.others.push([candidate, decision, file]);
      });
      return;
    }
    const numbers = new Map(this.scene.names.map((name, candidate) => [name, this.scene.numberOf[candidate]]));
    this.decisions.fill(".");
    this.others = {};
    for (const [name, [decision, file]] of Object.entries(kept.decisions || {})) {
      if (!fits.test(decision)) continue;
      const number = numbers.get(name);
      if (number === undefined || number < 0) this.others[name] = decision + file;
      else this.take(number, decision, file);
    }
  }

  // A stored decision, made when the file said `file`. Where the file says something else since, it is not known which
  // of the two is right, and the tile is asked again; a tile that was left empty takes the file's label.
  take(number, decision, file) {
    const now = this.scene.existing[number];
    this.decisions[number] = decision;
    if (decision === "." || now === "." || now === file || now === decision) return;
    this.decisions[number] = ".";
    if (decision !== "-") this.conflicts.set(number, [decision, file]);
  }

  // What is stored of a tile: the decision and what the file says; a contradiction stays one until it is decided.
  kept(number) {
    const decision = this.decisions[number];
    if (decision === "." && this.conflicts.has(number)) return this.conflicts.get(number);
    return [decision, this.scene.existing[number]];
  }
};
