// Filter and order of the tiles.
(() => {
  const list = document.getElementById("gallery");
  if (!list) return;
  const [group, part, order] = ["group", "part", "order"].map((name) => document.getElementById(`filter-${name}`));
  const count = document.getElementById("gallery-count");
  const tiles = [...list.children];
  const show = () => {
    const sign = order.value === "worst" ? 1 : -1;
    tiles.sort((a, b) => sign * (a.dataset.rank - b.dataset.rank));
    let shown = 0;
    for (const tile of tiles) {
      tile.hidden =
        (group.value && tile.dataset.group !== group.value) || (part.value && tile.dataset.part !== part.value);
      if (!tile.hidden) shown += 1;
    }
    list.append(...tiles);
    count.textContent = shown === 1 ? "1 tile" : `${shown} tiles`;
  };
  for (const select of [group, part, order]) select.addEventListener("change", show);
})();
