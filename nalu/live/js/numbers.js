// Numbers below a thousand in English words, as nalu/tasks/language.py says them, and what a reader may have typed.

/** @typedef {{words: string[], open: string}} Sentence with a word that is only begun */

/**
 * A number in words.
 * @param {number} number @param {string[]} vocabulary in the order of counting: zero to twenty, thirty to ninety, hundred, and
 * @returns {string[]}
 */
export function wording(number, vocabulary) {
  const [ten, hundred] = [Math.floor(number / 10), Math.floor(number / 100)];
  if (number <= 20) return [vocabulary[number]];
  if (number < 100) return [vocabulary[18 + ten], ...(number % 10 ? [vocabulary[number % 10]] : [])];
  const rest = number % 100 ? [vocabulary[29], ...wording(number % 100, vocabulary)] : [];
  return [vocabulary[hundred], vocabulary[28], ...rest];
}

/** The number that each wording means. @param {string[]} vocabulary @param {number} largest @returns {Map<string, number>} */
export function meanings(vocabulary, largest) {
  return new Map(Array.from({ length: largest + 1 }, (_, n) => [wording(n, vocabulary).join(" "), n]));
}

/** The number that a sentence means, with or, as in America, without its "and". @param {string} sentence @param {Map<string, number>} known */
export function meaning(sentence, known) {
  return known.get(sentence) ?? known.get(sentence.replace(/ hundred (?!and\b)/, " hundred and "));
}

/** What the first words mean; an "and" at their end leads to more. @param {string[]} words @param {number} count @param {Map<string, number>} known */
export function soFar(words, count, known) {
  const sentence = words.slice(0, count).join(" ");
  return meaning(sentence.replace(/ hundred and$/, " hundred"), known);
}

/**
 * The words of a text; or, as a text, why it has none to read.
 * @param {string} text @param {string[]} vocabulary @param {{largest: number, most: number}} limits
 * @returns {Sentence | string}
 */
export function read(text, vocabulary, { largest, most }) {
  const plain = text
    .toLowerCase()
    .replace(/[-\u2010-\u2015](?!\d)/g, " ")
    .replace(/(?<!\d)[.,]|[.,](?!\d)|[;:!?"“”]/g, " ");
  const parts = plain.split(/\s+/).filter(Boolean);
  if (!parts.length) return "Type a number in words, such as “two hundred and six”.";
  const words = [];
  let open = "";
  for (const [k, part] of parts.entries()) {
    if (vocabulary.includes(part)) words.push(part);
    else if (/^\d+$/.test(part) && Number(part) <= largest) words.push(...wording(Number(part), vocabulary));
    else if (/\d/.test(part))
      return `${quoted(part)} is not a whole number from 0 to ${largest}, which are all that the networks know.`;
    else if (k === parts.length - 1 && vocabulary.some((word) => word.startsWith(part))) open = part;
    else return `${quoted(part)} is none of the ${vocabulary.length} words that the networks know.`;
  }
  if (words.length > most)
    return `${words.length.toLocaleString("en")} words are too many: this page reads up to ${most}.`;
  return words.length ? { words, open } : `${quoted(open)} is the beginning of a word.`;
}

/** A word as a sentence shows it, be it as long as it likes. @param {string} word */
function quoted(word) {
  const letters = [...word];
  return `“${letters.length > 20 ? `${letters.slice(0, 20).join("")}…` : word}”`;
}
