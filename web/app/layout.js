// Where tiles go: pure arithmetic on sizes, used by the stage, knowing nothing of elements.

/** @typedef {{x: number, y: number, width: number, height: number}} Box */

const GAP = 10;
/** Tiles are never narrower or wider than this, so that faces are not cut and bars do not appear. */
const ASPECT_MIN = 4 / 5;
const ASPECT_MAX = 16 / 9;
/** Smaller than this, a face is not worth its bits: the stage scrolls, or the strip has pages. */
const TILE_MIN_WIDTH = 132;

/**
 * How many tiles a page of the grid holds.
 * @param {Box} area
 */
export function pageSize({ width, height }) {
  if (width < 600 || height < 340) return 4;
  if (width >= 2200 && height >= 1100) return 25;
  return width >= 1500 && height >= 800 ? 16 : 9;
}

/**
 * The largest equal tiles for `count` in `area`. When even the smallest do not fit, the boxes run past the area's foot.
 * @param {number} count
 * @param {Box} area
 * @param {number} [minWidth]
 * @returns {Box[]}
 */
export function grid(count, area, minWidth = TILE_MIN_WIDTH) {
  if (count === 0 || area.width <= 0 || area.height <= 0) return [];
  let best = { columns: 1, width: 0, height: 0, size: -1 };
  for (let columns = 1; columns <= count; columns += 1) {
    const rows = Math.ceil(count / columns);
    const cellWidth = (area.width - GAP * (columns - 1)) / columns;
    const cellHeight = (area.height - GAP * (rows - 1)) / rows;
    if (cellWidth <= 0 || cellHeight <= 0) continue;
    const aspect = Math.min(ASPECT_MAX, Math.max(ASPECT_MIN, cellWidth / cellHeight));
    const width = Math.min(cellWidth, cellHeight * aspect);
    const height = width / aspect;
    if (width * height > best.size) best = { columns, width, height, size: width * height };
  }
  if (best.width < minWidth && area.width > minWidth) {
    const columns = Math.max(1, Math.floor((area.width + GAP) / (minWidth + GAP)));
    const width = (area.width - GAP * (columns - 1)) / columns;
    best = { columns: Math.min(columns, count), width, height: width * 0.75, size: 0 };
  }
  return place(count, area, best.columns, best.width, best.height);
}

/**
 * One large box, and the others in a strip beside or below it. Those that find no place get none.
 * @param {number} others
 * @param {Box} area
 * @returns {{main: Box, strip: Box[]}}
 */
export function spotlight(others, area) {
  if (others === 0) return { main: area, strip: [] };
  const beside = area.width > area.height * 1.15;
  const thickness = beside
    ? Math.min(280, Math.max(140, area.width * 0.2))
    : Math.min(190, Math.max(88, area.height * 0.22));
  const stripArea = beside
    ? { x: area.x + area.width - thickness, y: area.y, width: thickness, height: area.height }
    : { x: area.x, y: area.y + area.height - thickness, width: area.width, height: thickness };
  const main = beside
    ? { ...area, width: area.width - thickness - GAP }
    : { ...area, height: area.height - thickness - GAP };
  for (let shown = others; shown > 0; shown -= 1) {
    const strip = grid(shown, stripArea, 0);
    const { width, height } = strip[0] ?? { width: 0, height: 0 };
    if ((width >= 92 && height >= 60) || shown === 1) return { main, strip };
  }
  return { main, strip: [] };
}

/**
 * @param {number} count
 * @param {Box} area
 * @param {number} columns
 * @param {number} width
 * @param {number} height
 */
function place(count, area, columns, width, height) {
  const rows = Math.ceil(count / columns);
  const top = area.y + Math.max(0, (area.height - rows * height - (rows - 1) * GAP) / 2);
  /** @type {Box[]} */
  const boxes = [];
  for (let index = 0; index < count; index += 1) {
    const row = Math.floor(index / columns);
    const inRow = Math.min(columns, count - row * columns);
    const left = area.x + (area.width - inRow * width - (inRow - 1) * GAP) / 2;
    boxes.push({ x: left + (index % columns) * (width + GAP), y: top + row * (height + GAP), width, height });
  }
  return boxes;
}
