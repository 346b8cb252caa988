/* The item's video, or its pictures and their sound: from beside the sheet, or from files that the coder picked. */
"use strict";

tikval.media = (function () {
  const one = (id) => document.getElementById(id);
  const KINDS = [
    ["picture", /\.(jpe?g|png|webp|gif|avif|bmp|heic)$/i],
    ["sound", /\.(mp3|m4a|aac|wav|ogg|oga|opus|flac)$/i],
    ["video", /./],
  ];
  const players = { video: one("video"), picture: one("picture"), sound: one("sound") };
  const picked = new Map(); // files by name, in lower case
  let seen = [], sound, at = 0;
  const objectUrls = [];

  const kindOf = (file) => KINDS.find(([, pattern]) => pattern.test(file))[0];
  const nameOf = (file) => file.split("/").at(-1);
  const folderOf = (file) => file.split("/").filter((part) => part && part !== "..").slice(0, -1).join("/");

  /** How many folders above the name two paths have in common. */
  function alike(a, b) {
    const [x, y] = [a, b].map((path) => path.toLowerCase().split("/").reverse());
    const end = x.findIndex((part, i) => part !== y[i]);
    return end === -1 ? x.length : end;
  }

  /** Never another host, whatever a path says: its parts are encoded, and it begins in a folder. */
  function address(file) {
    const mine = picked.get(nameOf(file).toLowerCase());
    if (mine) {
      const path = (candidate) => candidate.webkitRelativePath || candidate.name;
      const best = mine.reduce((a, b) => (alike(path(b), file) > alike(path(a), file) ? b : a));
      objectUrls.push(URL.createObjectURL(best));
      return objectUrls.at(-1);
    }
    const parts = file.split("/").filter((part, i) => part || i === 0).map(encodeURIComponent);
    return parts[0] === "" ? parts.join("/") : `./${parts.join("/")}`;
  }

  function set(kind, file) {
    const player = players[kind];
    player.hidden = !file;
    if (kind !== "picture") player.pause();
    if (file) player.src = address(file);
    else player.removeAttribute("src");
    if (kind !== "picture" && !file) player.load();
  }

  function missing(file) {
    const folder = folderOf(file);
    const what = folder ? `the folder “${folder}”` : "it";
    const where = file.startsWith("../") ? "the folder that this sheet is in" : "this sheet";
    one("missing-text").textContent = `“${nameOf(file)}” is not there, or this browser cannot play it. Put ${what} beside ${where}.`;
    one("missing").hidden = false;
  }

  function turnTo(place) {
    at = place;
    const file = seen[at];
    const kind = file && kindOf(file);
    one("missing").hidden = true;
    set("video", kind === "video" ? file : null);
    set("picture", kind === "picture" ? file : null);
    one("nothing").hidden = seen.length > 0 || Boolean(sound);
    one("turn").hidden = seen.length < 2;
    one("turn-text").textContent = `${at + 1} of ${seen.length}`;
    one("turn-back").disabled = at === 0;
    one("turn-on").disabled = at >= seen.length - 1;
  }

  function show(files) {
    objectUrls.splice(0).forEach((url) => URL.revokeObjectURL(url));
    seen = files.filter((file) => kindOf(file) !== "sound");
    sound = files.find((file) => kindOf(file) === "sound");
    set("sound", sound);
    turnTo(0);
  }

  const current = () => (players.video.hidden ? players.sound : players.video);

  /** Plays or pauses the video, or a photo post's sound. */
  function play() {
    const player = current();
    if (player.hidden) return;
    if (player.paused) player.play().catch(() => {}); // a file that is not there says so by its event
    else player.pause();
  }

  /** On or back: the next picture, or five seconds. */
  function step(by) {
    if (seen.length > 1) turnTo(Math.min(Math.max(at + by, 0), seen.length - 1));
    else if (!current().hidden) current().currentTime += 5 * by;
  }

  function pick(files) {
    for (const file of files) {
      const name = file.name.toLowerCase();
      picked.set(name, [...(picked.get(name) ?? []), file]);
    }
    show(sound ? [...seen, sound] : seen);
    return files.length;
  }

  for (const kind of ["video", "picture"]) {
    players[kind].addEventListener("error", () => { if (players[kind].getAttribute("src")) missing(seen[at]); });
  }
  players.sound.addEventListener("error", () => { if (players.sound.getAttribute("src")) missing(sound); });
  one("turn-back").addEventListener("click", () => step(-1));
  one("turn-on").addEventListener("click", () => step(1));

  return { show, play, step, pick };
})();
