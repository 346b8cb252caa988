/* The table on disk: saved, read back, and where the browser can, kept up to date by itself. */
"use strict";

tikval.files = (function () {
  const { sheet, store } = tikval;
  const one = (id) => document.getElementById(id);
  const LARGEST = 50e6; // bytes of a table that is read
  const WAIT_MS = 800; // after the last change
  const number = /-\d+(?=\.html?$)/.exec(location.pathname)?.[0] ?? ""; // of a coder's second sheet
  const name = `labels_${sheet.coder.replace(/[^\p{L}\p{N}._-]+/gu, "_")}${number}.csv`;
  let handle = null, timer = 0, failed = false, written = Promise.resolve();

  function moment(text) {
    const then = new Date(text);
    const today = then.toDateString() === new Date().toDateString();
    return then.toLocaleString([], { ...(today ? {} : { day: "numeric", month: "short" }), hour: "2-digit", minute: "2-digit" });
  }

  function tell() {
    const [time, later] = [store.filedAt(), store.later()];
    const browser = store.atRisk() ? "Not kept in this browser" : "Kept in this browser";
    const file = time ? `in a file: ${moment(time)}${later ? `, ${later} item${later === 1 ? "" : "s"} since` : ""}` : "in no file yet";
    one("kept").textContent = `${browser}; ${failed ? "autosave failed" : file}`;
    one("kept").classList.toggle("warn", store.atRisk() || failed);
  }

  function save() {
    const now = new Date().toISOString();
    const address = URL.createObjectURL(new Blob([store.csv()], { type: "text/csv" }));
    Object.assign(document.createElement("a"), { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
    store.filed(now);
    tell();
    return name;
  }

  async function write() {
    const now = new Date().toISOString();
    try {
      const file = await handle.createWritable();
      await file.write(store.csv());
      await file.close();
      failed = false;
      store.filed(now);
    } catch { failed = true; }
    tell();
  }

  function changed() {
    tell();
    if (!handle) return;
    clearTimeout(timer);
    timer = setTimeout(() => { written = written.then(write); }, WAIT_MS);
  }

  async function autosave() {
    try {
      handle = await window.showSaveFilePicker({ suggestedName: name, types: [{ accept: { "text/csv": [".csv"] } }] });
    } catch { return; } // the coder closed the window
    one("autosave").textContent = "Autosave on";
    one("autosave").title = `${handle.name} is written after each change, until this page is closed`;
    written = written.then(write);
  }

  /** @returns {string} what was taken in. Raises a sentence for a table that is not of this sheet. */
  async function load(file) {
    if (file.size > LARGEST) throw new Error(`${file.name}: larger than any table of a sheet`);
    let found;
    try { found = store.load(await file.text()); }
    catch (error) { throw new Error(`${file.name} was not read. ${error.message}. Nothing was changed.`); }
    const parts = [`${file.name}: ${found.taken} item${found.taken === 1 ? "" : "s"} taken from it`];
    if (found.filled) parts.push(`${found.filled} in a later state here were filled up from it`);
    if (found.older) parts.push(`${found.older} are here in the same or a later state and stay`);
    if (found.unknown) parts.push(`${found.unknown} are not in this sheet and were left out`);
    tell();
    return `${parts.join("; ")}.`;
  }

  one("autosave").hidden = !window.showSaveFilePicker;
  one("autosave").addEventListener("click", autosave);
  window.addEventListener("beforeunload", (event) => { if (store.atRisk()) event.preventDefault(); });
  return { save, load, changed, tell };
})();
