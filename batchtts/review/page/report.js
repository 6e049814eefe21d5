
"use strict";
(() => {
  const list = document.getElementById("list");
  const tools = document.getElementById("tools");
  if (!list || !tools) return;
  const rows = [...list.children];
  const find = document.getElementById("find");
  const selects = [...tools.querySelectorAll("select")];
  const sorts = [...tools.querySelectorAll("[data-sort]")];
  const count = document.getElementById("count");
  const copied = document.getElementById("copied");
  const area = document.getElementById("copy-text");
  const texts = new Map();
  let sort = "rank";
  let turned = false;

  // ── which rows ──
  const textOf = (row) => {
    if (!texts.has(row)) texts.set(row, [...row.querySelectorAll("bdi, .script, .problem, .why, .failures")].map((it) => it.textContent).join("\n").toLowerCase());
    return texts.get(row);
  };
  const isWanted = (row, words) =>
    words.every((word) => textOf(row).includes(word)) &&
    selects.every((it) => !it.value || row.dataset[it.dataset.by].split("\n").includes(it.value.slice(1)));
  const tell = () => {
    const shown = rows.filter((row) => !row.hidden).length;
    const ticked = rows.filter(isTicked).length;
    count.textContent = (shown === rows.length ? `${shown} rows` : `${shown} of ${rows.length} rows`) + (ticked ? `, ${ticked} ticked` : "");
    document.getElementById("none").hidden = shown > 0;
    const what = ticked ? "ticked" : "shown";
    document.getElementById("copy-ids").title = `The ids of the rows that are ${what}, a line each`;
    document.getElementById("copy-again").title = `The rows that are ${what}, as arguments of batchtts run`;
  };
  const filter = () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) row.hidden = !isWanted(row, words);
    copied.textContent = "";
    tell();
  };
  find.addEventListener("input", filter);
  for (const it of [find, ...selects]) it.addEventListener("change", filter);

  // ── in which order ──
  const downwards = new Set(["wer", "seconds", "away", "attempts"]);
  const compare = (a, b) => {
    const [x, y] = [a.dataset[sort], b.dataset[sort]];
    if (sort === "id") return x.localeCompare(y, "en", { numeric: true });
    if (x === "" || y === "") return (x === "") - (y === "") || a.dataset.rank - b.dataset.rank;
    return (downwards.has(sort) !== turned ? y - x : x - y) || a.dataset.rank - b.dataset.rank;
  };
  const arrange = () => {
    rows.sort(compare);
    if (sort === "id" && turned) rows.reverse();
    list.append(...rows);
    for (const it of sorts) it.setAttribute("aria-pressed", String(it.dataset.sort === sort));
  };
  for (const button of sorts) {
    button.addEventListener("click", () => {
      turned = sort === button.dataset.sort && !turned;
      sort = button.dataset.sort;
      arrange();
      copied.textContent = `sorted by ${button.textContent}${turned ? ", the other way round" : ""}`;
    });
  }

  // ── to be taken again ──
  const isTicked = (row) => row.querySelector(".tick input").checked;
  const chosen = () => {
    const ticked = rows.filter(isTicked);
    return (ticked.length ? ticked : rows.filter((row) => !row.hidden)).map((row) => row.dataset.id);
  };
  const quoted = (id) => {
    const named = id === "failed" || id === "all" || id.startsWith("id:") ? `id:${id}` : id;
    return /^[\w.@%+:,/][\w.@%+:,/-]*$/.test(named) ? `--again ${named}` : `--again='${named.replaceAll("'", "'\\''")}'`;
  };
  const byHand = (text) => {
    area.value = text;
    area.hidden = false;
    area.focus();
    area.select();
    return document.execCommand("copy");
  };
  const copy = async (text, many) => {
    let done = false;
    try {
      await navigator.clipboard.writeText(text);
      done = true;
    } catch {
      done = byHand(text);
    }
    if (done) area.hidden = true;
    copied.textContent = done ? `${many} copied` : `${many}: press Ctrl-C to copy`;
  };
  const plural = (n) => `${n} ${n === 1 ? "id" : "ids"}`;
  document.getElementById("copy-ids").addEventListener("click", () => {
    const ids = chosen();
    copy(ids.join("\n"), plural(ids.length));
  });
  document.getElementById("copy-again").addEventListener("click", () => {
    const ids = chosen();
    copy(ids.map(quoted).join(" "), `${plural(ids.length)} as --again`);
  });
  list.addEventListener("change", tell);

  // ── to be heard ──
  const place = (audio) => {
    const head = audio.closest(".hear").querySelector(".head");
    if (!head || !audio.duration) return;
    const wide = head.ownerSVGElement.viewBox.baseVal.width;
    head.setAttribute("transform", `translate(${(audio.currentTime / audio.duration) * wide} 0)`);
    head.style.visibility = "visible";
  };
  list.addEventListener("play", (event) => {
    for (const audio of list.querySelectorAll("audio")) if (audio !== event.target) audio.pause();
  }, true);
  list.addEventListener("timeupdate", (event) => place(event.target), true);
  list.addEventListener("click", (event) => {
    const wave = event.target.closest(".wave");
    const audio = wave && wave.parentElement.querySelector("audio");
    if (!audio) return;
    const box = wave.getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    const start = () => { audio.currentTime = share * audio.duration; };
    if (audio.duration) start();
    else audio.addEventListener("loadedmetadata", start, { once: true });
    audio.play().catch(() => {});
  });

  for (const box of list.querySelectorAll(".tick input")) box.hidden = false;
  tools.hidden = false;
  tell();
})();
