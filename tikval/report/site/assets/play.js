/* A video's page: a click on a time plays the video from there; j and k go to the next video and the one before. */
"use strict";

(function () {
  const player = document.getElementById("player");

  /** Without a player, or with a key held to open elsewhere, a time stays the link to the file that it is. */
  function play(event) {
    const time = event.target.closest("a.time");
    if (!time || !player || player.error || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    player.currentTime = Number(time.dataset.at);
    player.scrollIntoView({ block: "nearest" });
    player.play().catch(() => {}); // what cannot be played says so below
  }

  function turn(event) {
    const busy = event.target.closest("input, select, textarea, video") || event.ctrlKey || event.metaKey || event.altKey;
    const link = { j: "next", k: "prev" }[event.key];
    const page = link && !busy && document.querySelector(`a[rel=${link}]`);
    if (page) page.click();
  }

  document.addEventListener("click", play);
  document.addEventListener("keydown", turn);
  if (player) {
    player.addEventListener("error", () => {
      document.getElementById("unplayable").hidden = false;
    });
  }
})();
