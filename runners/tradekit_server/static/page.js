"use strict";
// Swaps in the parts of the page that the server drew anew, keeps "4 s ago" right, and reads charts to the pointer.
(() => {
  const EVERY_MS = 2000;
  const DEADLINE_MS = 5000;
  const LOST_AFTER_MS = 8000;
  const root = document.body.dataset.root;
  const html = document.documentElement;
  const state = () => document.getElementById("state");
  let aheadMs = Number(state().dataset.now) - Date.now();
  let answeredMs = Date.now();
  let pointer = null;

  html.classList.add("has-script");

  function span(milliseconds) {
    const seconds = Math.max(0, Math.floor(milliseconds / 1000));
    if (seconds >= 172800) return `${Math.floor(seconds / 86400)} days`;
    if (seconds >= 3600) return `${Math.floor(seconds / 3600)} h`;
    if (seconds >= 60) return `${Math.floor(seconds / 60)} min`;
    return `${seconds} s`;
  }

  function tellTimes() {
    const now = Date.now() + aheadMs;
    for (const time of document.querySelectorAll("time[data-ago], time[data-for]")) {
      const text = span(now - Date.parse(time.dateTime)) + ("ago" in time.dataset ? " ago" : "");
      if (time.textContent !== text) time.textContent = text;
    }
  }

  function swap(text) {
    const fresh = new DOMParser().parseFromString(text, "text/html");
    for (const part of fresh.querySelectorAll("[data-live]")) {
      const old = document.getElementById(part.id);
      if (!old || old.isEqualNode(part)) continue;
      for (const { name, value } of part.attributes) old.setAttribute(name, value);
      if (old.innerHTML !== part.innerHTML) old.replaceChildren(...part.childNodes);
    }
    const { level, title, now } = state().dataset;
    aheadMs = Number(now) - Date.now();
    html.dataset.level = level;
    document.title = `${title} — tradekit`;
    document.getElementById("favicon").href = `${root}/static/${level}.svg`;
    tellTimes();
    showTip();
  }

  function lost(isLost) {
    const notice = document.getElementById("lost");
    if (notice.hidden !== isLost) return;
    notice.hidden = !isLost;
    html.classList.toggle("is-lost", isLost);
    if (!isLost) return;
    document.getElementById("lost-since").textContent = `${new Date(answeredMs + aheadMs).toISOString().slice(11, 19)} UTC`;
    document.title = "No answer — tradekit";
    document.getElementById("favicon").href = `${root}/static/unhealthy.svg`;
  }

  async function update() {
    try {
      const answer = await fetch(`${root}/status.html`, { cache: "no-store", signal: AbortSignal.timeout(DEADLINE_MS) });
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      swap(await answer.text());
      answeredMs = Date.now();
      lost(false);
    } catch {
      if (Date.now() - answeredMs > LOST_AFTER_MS) lost(true);
    }
  }

  async function go() {
    if (!document.hidden) await update();
    setTimeout(go, EVERY_MS);
  }

  function showTip() {
    const tip = document.getElementById("tip");
    const under = pointer && document.elementFromPoint(pointer.x, pointer.y);
    const graph = under && under.closest(".graph");
    tip.hidden = !graph;
    if (!graph) return;
    const points = graph.dataset.points.split(" ").map((pair) => pair.split(",").map(Number));
    const box = graph.getBoundingClientRect();
    const [first, last] = [points[0][0], points[points.length - 1][0]];
    const wanted = first + ((pointer.x - box.left) / box.width) * (last - first);
    const near = points.reduce((best, point) => (Math.abs(point[0] - wanted) < Math.abs(best[0] - wanted) ? point : best));
    const value = near[1].toLocaleString("en", { maximumSignificantDigits: 7 });
    tip.textContent = `${value} ${graph.dataset.unit} at ${new Date(near[0]).toISOString().slice(11, 19)} UTC`.replace("  ", " ");
    const left = Math.min(pointer.x + 12, window.innerWidth - tip.offsetWidth - 8);
    tip.style.left = `${Math.max(8, left)}px`;
    tip.style.top = `${box.top - tip.offsetHeight - 4}px`;
  }

  document.addEventListener("pointermove", (event) => { pointer = { x: event.clientX, y: event.clientY }; showTip(); });
  document.addEventListener("pointerleave", () => { pointer = null; showTip(); });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) { answeredMs = Date.now(); update(); } });
  setInterval(tellTimes, 1000);
  setTimeout(go, EVERY_MS);
})();
