"use strict";

// Which tiles the list shows, and in which order.

Labelling.matches = (labels, filter, number) => {
  switch (filter) {
    case "todo": return !labels.label(number) && !labels.isLeft(number);
    case "doubtful": return labels.isDoubtful(number);
    case "left": return labels.isLeft(number);
    case "positive": return labels.label(number) === "1";
    case "negative": return labels.label(number) === "0";
    case "decided": return labels.isDecided(number);
    case "check": return labels.scene.suspects.has(number);
    default: return true;
  }
};

// Numbers of tiles. Labels that look wrong are in the order of the suggestions, whatever order is chosen.
Labelling.queue = (labels, filter, order) => {
  const {scene} = labels;
  const rank = (number) => {
    if (filter === "check") return scene.suspects.get(number);
    if (order === "suggested") return scene.wanted.has(number) ? scene.wanted.get(number) : scene.count;
    return order === "doubtful" && !labels.isDoubtful(number) ? 1 : 0;
  };
  const found = [];
  for (let number = 0; number < scene.count; number += 1) {
    if (Labelling.matches(labels, filter, number)) found.push([rank(number), number]);
  }
  return found.sort(([one, first], [other, second]) => one - other || first - second).map(([, number]) => number);
};
