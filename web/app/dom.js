// The few DOM helpers of the page. Text goes in as text nodes only; there is no way here to write markup from data.

/**
 * The element of this id, which index.html has to have.
 * @template {Element} T
 * @param {string} id
 * @param {new () => T} type
 * @returns {T}
 */
export function byId(id, type) {
  const element = document.getElementById(id);
  if (!(element instanceof type)) throw new Error(`index.html has no ${type.name} #${id}`);
  return element;
}

/** @param {string} id */
export const button = (id) => byId(id, HTMLButtonElement);

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {string} className
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function make(tag, className = "", ...children) {
  const element = document.createElement(tag);
  if (className !== "") element.className = className;
  element.append(...children);
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** @param {string} name a symbol of icons.svg */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  svg.append(document.createElementNS(SVG, "use"));
  setIcon(svg, name);
  return svg;
}

/**
 * @param {ParentNode} parent an element that holds an icon, or the icon
 * @param {string} name
 */
export function setIcon(parent, name) {
  const href = `/app/icons.svg#${name}`;
  const use = parent.querySelector("use");
  if (use?.getAttribute("href") !== href) use?.setAttribute("href", href);
}

/**
 * Names a button for the eye (tooltip) and the ear.
 * @param {HTMLElement} element
 * @param {string} name
 * @param {string} [key] its shortcut
 */
export function label(element, name, key) {
  element.setAttribute("aria-label", name);
  const named = key?.length === 1 ? key.toUpperCase() : key;
  element.title = named === undefined ? name : `${name} (${named})`;
  if (named !== undefined) element.setAttribute("aria-keyshortcuts", named);
}

/**
 * A steady colour for a name, and its first letter.
 * @param {HTMLElement} element
 * @param {string} name
 */
export function paintAvatar(element, name) {
  let hash = 0;
  for (const character of name) hash = (hash * 31 + (character.codePointAt(0) ?? 0)) >>> 0;
  element.style.setProperty("--hue", String(hash % 360));
  element.textContent = [...name.trim()][0]?.toUpperCase() ?? "?";
}

/** @type {HTMLElement | null} */
let announcer = null;

/**
 * Says something to a screen reader only.
 * @param {string} text
 */
export function announce(text) {
  announcer ??= byId("announcer", HTMLElement);
  announcer.textContent = text;
}
