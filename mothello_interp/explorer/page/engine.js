// The model: GPT-2 with pre-norm, learned positions and GELU by the error function. A run keeps the residual stream, keys and
// values of all its positions, so that a longer game, or one edited at a late move, is run from there on.

const LEAST_SHARE = 1e-5; // a move whose first tokens are less likely is not followed to its end

// Arrays `[[name, shape, bytes], ...]` from base64: 2 bytes are bfloat16, 3 and 4 the top bytes of float32.
export function readArrays(described, base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let index = 0; index < text.length; index++) bytes[index] = text.charCodeAt(index);
  const found = {};
  let place = 0;
  for (const [name, shape, width] of described) {
    const words = new Uint32Array(shape.reduce((product, length) => product * length, 1));
    for (let index = 0; index < words.length; index++)
      for (let byte = 4 - width; byte < 4; byte++) words[index] |= bytes[place++] << (8 * byte);
    found[name] = new Float32Array(words.buffer);
  }
  return found;
}

// Weights `[inputs outputs]` as `[outputs inputs]`, in which `linear` reads along the rows.
function transposed(weights, inputs, outputs) {
  const result = new Float32Array(weights.length);
  for (let i = 0; i < inputs; i++) for (let o = 0; o < outputs; o++) result[o * inputs + i] = weights[i * outputs + o];
  return result;
}

function block({ n_heads: heads, d_model: width, d_mlp: hidden }, arrays, layer) {
  const of = (name) => arrays[`blocks.${layer}.${name}`];
  const each = width / heads;
  const projection = (name) => {
    const whole = new Float32Array(width * width);
    for (let head = 0; head < heads; head++) {
      const part = of(`attn.W_${name}`).subarray(head * width * each, (head + 1) * width * each);
      whole.set(transposed(part, width, each), head * width * each);
    }
    return { weight: whole, bias: of(`attn.b_${name}`) };
  };
  return {
    norms: [1, 2].map((number) => ({ scale: of(`ln${number}.w`), shift: of(`ln${number}.b`) })),
    query: projection("Q"),
    key: projection("K"),
    value: projection("V"),
    out: { weight: transposed(of("attn.W_O"), width, width), bias: of("attn.b_O") },
    up: { weight: transposed(of("mlp.W_in"), width, hidden), bias: of("mlp.b_in") },
    down: { weight: transposed(of("mlp.W_out"), hidden, width), bias: of("mlp.b_out") },
  };
}

// A model from its sizes and arrays, which have the names of TransformerLens.
export function makeModel(sizes, arrays) {
  return {
    ...sizes,
    embed: arrays["embed.W_E"],
    positions: arrays["pos_embed.W_pos"],
    blocks: Array.from({ length: sizes.n_layers }, (_, layer) => block(sizes, arrays, layer)),
    finalNorm: { scale: arrays["ln_final.w"], shift: arrays["ln_final.b"] },
    unembed: { weight: transposed(arrays["unembed.W_U"], sizes.d_model, sizes.d_vocab), bias: arrays["unembed.b_U"] },
  };
}

// Rows `[row inputs]` times weights `[outputs inputs]`, plus bias: `[row outputs]`. Four outputs at a time share what they read;
// the last four may overlap those before.
export function linear(rows, { weight, bias }) {
  const outputs = bias.length;
  const inputs = weight.length / outputs;
  const result = new Float32Array((rows.length / inputs) * outputs);
  for (let row = 0, to = 0; row < rows.length; row += inputs, to += outputs)
    for (let four = 0; four < outputs; four += 4) {
      const output = Math.min(four, outputs - 4);
      const first = output * inputs;
      const [second, third, fourth] = [first + inputs, first + 2 * inputs, first + 3 * inputs];
      let [a, b, c, d] = [bias[output], bias[output + 1], bias[output + 2], bias[output + 3]];
      for (let i = 0; i < inputs; i++) {
        const value = rows[row + i];
        a += value * weight[first + i];
        b += value * weight[second + i];
        c += value * weight[third + i];
        d += value * weight[fourth + i];
      }
      result[to + output] = a;
      result[to + output + 1] = b;
      result[to + output + 2] = c;
      result[to + output + 3] = d;
    }
  return result;
}

function normalised(rows, { scale, shift }, eps) {
  const width = scale.length;
  const result = new Float32Array(rows.length);
  for (let row = 0; row < rows.length; row += width) {
    let [mean, square] = [0, 0];
    for (let i = 0; i < width; i++) mean += rows[row + i] / width;
    for (let i = 0; i < width; i++) square += (rows[row + i] - mean) ** 2 / width;
    const unit = Math.sqrt(square + eps);
    for (let i = 0; i < width; i++) result[row + i] = ((rows[row + i] - mean) / unit) * scale[i] + shift[i];
  }
  return result;
}

// erfc by the Chebyshev fit of Numerical Recipes (Press et al., 6.2): within 1.2e-7 everywhere.
const ERFC = [-1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806, 0.27886807, -1.13520398, 1.48851587, -0.82215223,
  0.17087277]; // prettier-ignore
function erfc(x) {
  const t = 1 / (1 + 0.5 * Math.abs(x));
  let sum = 0;
  for (let place = ERFC.length - 1; place >= 0; place--) sum = ERFC[place] + t * sum;
  const tail = t * Math.exp(sum - x * x);
  return x >= 0 ? tail : 2 - tail;
}

export const gelu = (x) => 0.5 * x * erfc(-x * Math.SQRT1_2);

export function softmax(logits) {
  const highest = Math.max(...logits);
  const powers = Array.from(logits, (logit) => Math.exp(logit - highest));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}

// What a head attends to from a position, `[position]`.
export function pattern(model, game, layer, head, position) {
  const each = model.d_model / model.n_heads;
  const [from, keys] = [position * model.d_model + head * each, game.keys[layer]];
  const scores = new Float64Array(position + 1);
  for (let key = 0; key <= position; key++) {
    const to = key * model.d_model + head * each;
    for (let i = 0; i < each; i++) scores[key] += game.queries[layer][from + i] * keys[to + i];
    scores[key] /= Math.sqrt(each);
  }
  return softmax(scores);
}

// What the heads of a layer write, `[row d_model]`, from position `start` on.
function attended(model, game, layer, start) {
  const each = model.d_model / model.n_heads;
  const result = new Float32Array((game.length - start) * model.d_model);
  for (let position = start; position < game.length; position++)
    for (let head = 0; head < model.n_heads; head++) {
      const to = (position - start) * model.d_model + head * each;
      pattern(model, game, layer, head, position).forEach((share, key) => {
        const from = key * model.d_model + head * each;
        for (let i = 0; i < each; i++) result[to + i] += share * game.values[layer][from + i];
      });
    }
  return linear(result, model.blocks[layer].out);
}

const added = (rows, more) => rows.map((value, index) => value + more[index]);

// Run tokens: `residual[layer + 1]` (embeddings first), `queries`, `keys` and `values` by layer, each `[position d_model]`.
// `past` is a run whose first `start` positions are the same. `edit(layer, rows, start)` may change the residual stream.
export function run(model, tokens, { past = null, start = 0, edit = null } = {}) {
  const { d_model: width, n_layers: layers } = model;
  const [length, from] = [tokens.length, start * width];
  const stored = (old, rows) => {
    const all = new Float32Array(length * width);
    if (old) all.set(old.subarray(0, from));
    all.set(rows, from);
    return all;
  };
  const result = { tokens, length, residual: [], queries: [], keys: [], values: [] };
  let rows = new Float32Array((length - start) * width);
  for (let place = start; place < length; place++)
    for (let i = 0; i < width; i++)
      rows[place * width - from + i] = model.embed[tokens[place] * width + i] + model.positions[place * width + i];
  for (let layer = -1; layer < layers; layer++) {
    if (layer >= 0) {
      const { norms, query, key, value, up, down } = model.blocks[layer];
      const input = normalised(rows, norms[0], model.eps);
      result.queries.push(stored(past?.queries[layer], linear(input, query)));
      result.keys.push(stored(past?.keys[layer], linear(input, key)));
      result.values.push(stored(past?.values[layer], linear(input, value)));
      rows = added(rows, attended(model, result, layer, start));
      rows = added(rows, linear(linear(normalised(rows, norms[1], model.eps), up).map(gelu), down));
    }
    edit?.(layer, rows, start);
    result.residual.push(stored(past?.residual[layer + 1], rows));
  }
  return result;
}

// The residual stream at a layer and position, `[d_model]`.
export const stateAt = (model, game, layer, position) =>
  game.residual[layer + 1].subarray(position * model.d_model, (position + 1) * model.d_model);

// The probability of each token after a state, as if its layer were the last.
export const decoded = (model, state) => softmax(linear(normalised(state, model.finalNorm, model.eps), model.unembed));

// The probability of each square as the next move, written as tokens `[square][piece]`: products of conditionals.
export function nextMoves(model, game, moveTokens) {
  const result = new Array(moveTokens.length).fill(0);
  const follow = (behind, squares, piece, chance) => {
    const shares = decoded(model, stateAt(model, behind, model.n_layers - 1, behind.length - 1));
    for (const token of new Set(squares.map((square) => moveTokens[square][piece]))) {
      const share = chance * shares[token];
      const here = squares.filter((square) => moveTokens[square][piece] === token);
      const longer = here.filter((square) => moveTokens[square].length > piece + 1);
      for (const square of here) if (moveTokens[square].length === piece + 1) result[square] = share;
      if (!longer.length || share < LEAST_SHARE || behind.length >= model.n_ctx) continue;
      const next = run(model, [...behind.tokens, token], { past: behind, start: behind.length });
      follow(next, longer, piece + 1, share);
    }
  };
  const played = moveTokens.flatMap((tokens, square) => (tokens.length ? [square] : []));
  follow(game, played, 0, 1);
  return result;
}
