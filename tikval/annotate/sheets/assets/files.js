/* The table on disk: saved, read back, and where the browser can, kept up to date by itself. */
"use strict";

tikval.files = (function () {
  const { sheet, store } = tikval;
  const one = (id) => document.getElementById(id);
  const LARGEST = 50e6; // bytes of a table that is read
  const WAIT_MS = 800; // after the last change
  const name = `labels_${sheet.coder.replace(/[^\p{L}\p{N}._-]+/gu, "_")}.csv`;
  let handle = null, timer = 0, savedAt = null, changes = 0, failed = false;

  const clock = (date) => date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });

  function tell() {
    const browser = store.atRisk() ? "Not kept in this browser" : "Kept in this browser";
    const file = failed ? "autosave failed" : savedAt ? `in a file at ${clock(savedAt)}` : "in no file yet";
    one("kept").textContent = `${browser}, ${file}${savedAt && changes ? ` (${changes} later)` : ""}`;
    one("kept").classList.toggle("warn", store.atRisk() || failed);
  }

  function saved() {
    [savedAt, changes, failed] = [new Date(), 0, false];
    store.filed();
    tell();
  }

  function save() {
    const address = URL.createObjectURL(new Blob([store.csv()], { type: "text/csv" }));
    Object.assign(document.createElement("a"), { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
    saved();
    return name;
  }

  async function write() {
    const before = changes;
    try {
      const file = await handle.createWritable();
      await file.write(store.csv());
      await file.close();
      saved();
    } catch {
      [failed, changes] = [true, before];
      tell();
    }
  }

  function changed() {
    changes += 1;
    tell();
    if (!handle) return;
    clearTimeout(timer);
    timer = setTimeout(write, WAIT_MS);
  }

  async function autosave() {
    try {
      handle = await window.showSaveFilePicker({ suggestedName: name, types: [{ accept: { "text/csv": [".csv"] } }] });
    } catch { return; } // the coder closed the window
    one("autosave").textContent = `Autosave: ${handle.name}`;
    await write();
  }

  /** @returns {string} what was taken in. Raises a sentence for a table that is not of this sheet. */
  async function load(file) {
    if (file.size > LARGEST) throw new Error(`${file.name}: larger than any table of a sheet`);
    let found;
    try { found = store.load(await file.text()); }
    catch (error) { throw new Error(`${file.name} was not read. ${error.message}. Nothing was changed.`); }
    const parts = [`${file.name}: ${found.taken} item${found.taken === 1 ? "" : "s"} taken from it`];
    if (found.older) parts.push(`${found.older} are no older here and stay as they are`);
    if (found.unknown) parts.push(`${found.unknown} are not in this sheet and were left out`);
    tell();
    return `${parts.join("; ")}.`;
  }

  one("autosave").hidden = !window.showSaveFilePicker;
  one("autosave").addEventListener("click", autosave);
  window.addEventListener("beforeunload", (event) => { if (store.atRisk()) event.preventDefault(); });
  return { save, load, changed, tell };
})();
