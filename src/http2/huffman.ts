/** HPACK's Huffman code (RFC 7541, §5.2 and appendix B), decoded four bits at a time. */

/** The length of each byte's code, base 36. The code is canonical. */
const CODE_LENGTHS =
  'dnsssssssoussussssssssusssssssss6aacd68baa8b8666555666666678f6ca' +
  'd67777777777777777777777878djde6f56565666577666567655677777fbeds' +
  'kmkkmmmnmnnnnnonoomnonnnnlmnmnnomlkmmnnlnmmolmnnllmlnmnnkmmmnmmn' +
  'qqkjmnmpqqqrrqopjlqrrqrollqqsrrrkoklmllnmmppooqnqrqqrrrrrsrrrrrq';

const NIBBLES = 16;
const SYMBOL_BITS = 9;
const SYMBOL_MASK = (1 << SYMBOL_BITS) - 1;
const INVALID = -1;
const MAX_PADDING_BITS = 7;

/** Inner nodes of the code's tree: two children each; a leaf is `~symbol`, 0 is none. */
const tree = codeTree();
/** From a node by a nibble: the next node, and the symbol met on the way (plus 1; 0 for none). */
const steps = nibbleSteps();
/** Nodes that padding may end at: fewer than 8 bits, all of them 1. */
const paddingNodes = nodesOfPadding();

let scratch = Buffer.allocUnsafe(1_024);

/** The text that the bytes stand for, as Latin-1; `undefined` when they are no such code. */
export function decodeHuffman(bytes: Buffer, start: number, end: number): string | undefined {
  // The shortest code has five bits.
  const most = Math.ceil(((end - start) * 8) / 5);
  if (most > scratch.length) scratch = Buffer.allocUnsafe(2 * most);
  let node = 0;
  let length = 0;
  for (let at = start; at < end; at++) {
    const byte = bytes[at] as number;
    for (let nibble = byte >> 4, i = 0; i < 2; i++, nibble = byte & 0xf) {
      const step = steps[node * NIBBLES + nibble] as number;
      if (step === INVALID) return undefined;
      const symbol = step & SYMBOL_MASK;
      if (symbol > 0) scratch[length++] = symbol - 1;
      node = step >> SYMBOL_BITS;
    }
  }
  return paddingNodes.has(node) ? scratch.toString('latin1', 0, length) : undefined;
}

function codeTree(): [number, number][] {
  const symbols = Array.from(CODE_LENGTHS, (digit, symbol) => ({
    symbol,
    length: Number.parseInt(digit, 36),
  }));
  symbols.sort((a, b) => a.length - b.length || a.symbol - b.symbol);
  const nodes: [number, number][] = [[0, 0]];
  let code = 0;
  let before = 0;
  for (const { symbol, length } of symbols) {
    code <<= length - before;
    before = length;
    let node = 0;
    for (let bit = length - 1; bit > 0; bit--) node = childOf(nodes, node, (code >> bit) & 1);
    (nodes[node] as [number, number])[code & 1] = ~symbol;
    code += 1;
  }
  return nodes;
}

function childOf(nodes: [number, number][], node: number, side: number): number {
  const children = nodes[node] as [number, number];
  if (children[side] === 0) {
    children[side] = nodes.length;
    nodes.push([0, 0]);
  }
  return children[side] as number;
}

function nibbleSteps(): Int32Array {
  const table = new Int32Array(tree.length * NIBBLES);
  for (let node = 0; node < tree.length; node++) {
    for (let nibble = 0; nibble < NIBBLES; nibble++) {
      table[node * NIBBLES + nibble] = stepOf(node, nibble);
    }
  }
  return table;
}

function stepOf(from: number, nibble: number): number {
  let node = from;
  let symbol = 0;
  for (let bit = 3; bit >= 0; bit--) {
    const child = tree[node]?.[(nibble >> bit) & 1] as number;
    // Only the code for the end of the text, which must not be used, leads nowhere.
    if (child === 0) return INVALID;
    // No code is shorter than five bits: a nibble ends one at most.
    if (child < 0) symbol = ~child + 1;
    node = child < 0 ? 0 : child;
  }
  return (node << SYMBOL_BITS) | symbol;
}

function nodesOfPadding(): Set<number> {
  const nodes = new Set([0]);
  let node = 0;
  for (let bits = 1; bits <= MAX_PADDING_BITS; bits++) {
    node = tree[node]?.[1] as number;
    nodes.add(node);
  }
  return nodes;
}
