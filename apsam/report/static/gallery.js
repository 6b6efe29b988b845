// Filter and order of the tiles.
(() => {
  const list = document.getElementById("gallery");
  if (!list) return;
  const [group, part, order] = ["group", "part", "order"].map((name) => document.getElementById(`filter-${name}`));
  const count = document.getElementById("gallery-count");
  const more = document.getElementById("gallery-more");
  const FIRST = 12;
  const tiles = [...list.children];
  let all = false;
  const show = () => {
    const sign = order.value === "worst" ? 1 : -1;
    // False alarms have no IoU: they are neither the worst nor the best, and come last in both orders.
    const alarm = (tile) => tile.dataset.group === "false-alarm";
    tiles.sort((a, b) => alarm(a) - alarm(b) || sign * (a.dataset.rank - b.dataset.rank));
    const wanted = (tile) =>
      (!group.value || tile.dataset.group === group.value) && (!part.value || tile.dataset.part === part.value);
    let found = 0;
    for (const tile of tiles) {
      if (wanted(tile)) found += 1;
      tile.hidden = !wanted(tile) || (!all && found > FIRST);
    }
    list.append(...tiles);
    count.textContent = found === 1 ? "1 tile" : `${found} tiles`;
    more.hidden = all || found <= FIRST;
    more.textContent = `Show all ${found}`;
  };
  more.addEventListener("click", () => {
    const next = tiles.filter((tile) => !tile.hidden).at(-1);
    all = true;
    show();
    more.hidden = true;
    next?.nextElementSibling?.querySelector("button")?.focus({ preventScroll: true });
  });
  for (const select of [group, part, order]) select.addEventListener("change", show);
  show();
})();
