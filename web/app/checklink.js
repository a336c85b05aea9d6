// The ways to the page of the check, from wherever a visitor may wonder whether their connection is at fault: links with `data-check`.

/** @param {() => string} room that one is in, or is about to enter */
export function wireCheckLinks(room) {
  for (const link of document.querySelectorAll("a[data-check]")) {
    // What is in the address when it is followed. The fragment has the key of a room that is encrypted, for the way back.
    const aim = () => link.setAttribute("href", `/check?room=${encodeURIComponent(room())}${location.hash}`);
    for (const type of ["click", "auxclick"]) link.addEventListener(type, aim);
  }
}
