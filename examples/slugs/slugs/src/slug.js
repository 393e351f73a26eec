/** Give a title in lower case, its words joined by hyphens; everything but letters and digits is left out. */
export function slug(title) {
  const words = title.toLowerCase().match(/[a-z0-9]+/g);
  if (words === null) throw new RangeError(`nothing is left of ${JSON.stringify(title)}`);
  return words.join("-");
}
