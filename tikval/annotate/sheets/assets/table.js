/* The coder's table as CSV, written as tikval/spreadsheet.py writes it and read as a spreadsheet may have left it. */
"use strict";
window.tikval = JSON.parse(document.getElementById("data").textContent);

tikval.table = (function () {
  const formula = new RegExp(tikval.about.formula, "u");

  /** A text behind an apostrophe where a spreadsheet would take it for a formula or cut it as a number. */
  const safe = (text) => (formula.test(text) ? `'${text}` : text);
  const unsafe = (cell) => (cell.startsWith("'") && formula.test(cell.slice(1)) ? cell.slice(1) : cell);
  const quoted = (cell) => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);

  /** Lines of cells as CSV; texts are made safe, numbers are written as they are. */
  function csv(lines) {
    const written = (cell) => quoted(typeof cell === "string" ? safe(cell) : String(cell));
    return lines.map((cells) => `${cells.map(written).join(",")}\r\n`).join("");
  }

  /** Cells of a text between one kind of mark: [number of the line in the file, cells] each, without empty lines. */
  function cells(text, mark) {
    const found = [];
    let line = [], cell = "", inside = false, number = 1, begun = 1;
    const end = () => {
      line.push(unsafe(cell));
      if (line.length > 1 || line[0] !== "") found.push([begun, line]);
      [line, cell, begun] = [[], "", number];
    };
    for (let i = 0; i < text.length; i += 1) {
      const letter = text[i];
      if (letter === "\n") number += 1;
      if (inside) {
        if (letter !== '"') cell += letter;
        else if (text[i + 1] === '"') cell += text[(i += 1)];
        else inside = false;
      } else if (letter === '"' && cell === "") inside = true;
      else if (letter === mark) { line.push(unsafe(cell)); cell = ""; }
      else if (letter === "\n") end();
      else if (letter !== "\r" || text[i + 1] !== "\n") cell += letter;
    }
    if (cell !== "" || line.length) end();
    return found;
  }

  /** Lines as objects by column; a table whose marks became semicolons or tabs on its way is read, too. */
  function parse(text) {
    const plain = text.replace(/^\ufeff/, "");
    const head = plain.slice(0, plain.search(/[\r\n]|$/));
    const mark = [",", ";", "\t"].reduce((best, one) => (head.split(one).length > head.split(best).length ? one : best));
    const [[, columns] = [1, []], ...lines] = cells(plain, mark);
    return { columns, lines: lines.map(([number, line]) => [number, new Map(columns.map((name, i) => [name, line[i] ?? ""]))]) };
  }

  return { safe, unsafe, csv, parse };
})();
