import { PbfReader } from 'pbf';
import type { LabelCode } from '../contract/contract.ts';
import type { Forest } from './forest.ts';

/** An ONNX file that is no forest as scikit-learn's exporter writes it. */
export class OnnxForestError extends Error {
  override name = 'OnnxForestError';
}

interface Attribute {
  name: string;
  text: string;
  floats: number[];
  ints: number[];
  texts: string[];
}

/**
 * Reads a classifier that is ONNX's one operator TreeEnsembleClassifier, as skl2onnx makes it of a random forest: its
 * attributes `nodes_*` are the columns of a table of nodes, `class_*` those of a table of the leaves' votes.
 * @throws OnnxForestError when it is anything else.
 */
export function readOnnxForest(bytes: Uint8Array): Forest {
  const operators = readOperators(bytes);
  const [ensemble] = operators;
  if (operators.length !== 1 || ensemble?.type !== 'TreeEnsembleClassifier')
    throw new OnnxForestError('it is not one TreeEnsembleClassifier');
  const attributes = new Map(ensemble.attributes.map((one) => [one.name, one]));
  if ((attributes.get('post_transform')?.text ?? 'NONE') !== 'NONE' || attributes.has('base_values'))
    throw new OnnxForestError('its trees are added up as those of no random forest are');

  const ints = (name: string) => attributes.get(name)?.ints ?? [];
  const labels: LabelCode[] = attributes.get('classlabels_strings')?.texts ?? ints('classlabels_int64s');
  const nodes = {
    trees: ints('nodes_treeids'),
    ids: ints('nodes_nodeids'),
    features: ints('nodes_featureids'),
    thresholds: attributes.get('nodes_values')?.floats ?? [],
    modes: attributes.get('nodes_modes')?.texts ?? [],
    atMost: ints('nodes_truenodeids'),
    more: ints('nodes_falsenodeids'),
  };
  const votes = {
    trees: ints('class_treeids'),
    nodes: ints('class_nodeids'),
    labels: ints('class_ids'),
    weights: attributes.get('class_weights')?.floats ?? [],
  };
  for (const table of [nodes, votes])
    if (new Set(Object.values(table).map((column) => column.length)).size > 1)
      throw new OnnxForestError('its columns differ in length');
  if (labels.length < 2 || nodes.ids.length === 0) throw new OnnxForestError('it has no trees or no labels');
  return buildForest(nodes, votes, labels);
}

interface Nodes extends Record<'trees' | 'ids' | 'features' | 'thresholds' | 'atMost' | 'more', number[]> {
  modes: string[];
}

type Votes = Record<'trees' | 'nodes' | 'labels' | 'weights', number[]>;

/** scikit-learn grows a tree no deeper than it has customers to part; a walk goes as deep as its tree. */
const deepest = 1_000;

function buildForest(nodes: Nodes, votes: Votes, labels: LabelCode[]): Forest {
  const places = new Map(nodes.ids.map((id, place) => [keyOf(nodes.trees[place], id), place]));
  const placeOf = (tree?: number, id?: number) => places.get(keyOf(tree, id));
  const count = nodes.ids.length;
  const roots = nodes.trees.flatMap((tree, place) => (tree === nodes.trees[place - 1] ? [] : [place]));
  const forest: Forest = {
    featureCount: nodes.features.reduce((most, feature) => Math.max(most, feature + 1), 0),
    roots: Int32Array.from(roots),
    features: Int16Array.from(nodes.features),
    thresholds: Float32Array.from(nodes.thresholds),
    next: new Int32Array(2 * count),
    voteAt: new Int32Array(count).fill(-1),
    votes: new Float64Array(labels.length * nodes.modes.filter((mode) => mode === 'LEAF').length),
    labels,
  };
  const steps = new Int32Array(count);
  let leaves = 0;
  for (const [place, mode] of nodes.modes.entries()) {
    if (mode !== 'LEAF' && mode !== 'BRANCH_LEQ') throw new OnnxForestError(`it has nodes of the kind ${mode}`);
    if (mode === 'LEAF') {
      forest.next.fill(place, 2 * place, 2 * place + 2);
      forest.voteAt[place] = labels.length * leaves;
      leaves += 1;
      continue;
    }
    for (const [side, ids] of [nodes.atMost, nodes.more].entries()) {
      const child = placeOf(nodes.trees[place], ids[place]);
      // Always further on, so that a walk comes to an end
      if (child === undefined || child <= place) throw new OnnxForestError('a branch leads to no node further on');
      forest.next[2 * place + side] = child;
      steps[child] = (steps[place] as number) + 1;
      if (steps[child] > deepest) throw new OnnxForestError(`a tree is deeper than ${deepest} steps`);
    }
  }
  countVotes(forest, votes, placeOf);
  return forest;
}

/** Of two labels the file may hold the votes for the second one alone, under the number 0; the first gets the rest. */
function countVotes(forest: Forest, votes: Votes, placeOf: (tree?: number, id?: number) => number | undefined) {
  const width = forest.labels.length;
  const isBinary = width === 2 && votes.labels.every((label) => label === 0);
  const share = 1 / forest.roots.length;
  for (const [i, weight] of votes.weights.entries()) {
    const place = placeOf(votes.trees[i], votes.nodes[i]);
    const label = isBinary ? 1 : (votes.labels[i] as number);
    const from = place === undefined ? -1 : (forest.voteAt[place] as number);
    if (from < 0 || label < 0 || label >= width || !(weight >= 0))
      throw new OnnxForestError('a vote belongs to no leaf and label');
    forest.votes[from + label] = weight;
    if (isBinary) forest.votes[from] = share - weight;
  }
}

function keyOf(tree: number | undefined, node: number | undefined): number {
  return (tree as number) * 2 ** 26 + (node as number);
}

/** The operators of a ModelProto with their attributes; field numbers as in onnx.proto. */
function readOperators(bytes: Uint8Array) {
  const operators: { type: string; attributes: Attribute[] }[] = [];
  const readAttribute = (field: number, into: Attribute, pbf: PbfReader) => {
    if (field === 1) into.name = pbf.readString();
    else if (field === 4) into.text = pbf.readString();
    else if (field === 7) pbf.readPackedFloat(into.floats);
    else if (field === 8) pbf.readPackedVarint(into.ints, true);
    else if (field === 9) into.texts.push(pbf.readString());
  };
  const readOperator = (field: number, into: (typeof operators)[number], pbf: PbfReader) => {
    if (field === 4) into.type = pbf.readString();
    else if (field === 5)
      into.attributes.push(
        pbf.readMessage<Attribute>(readAttribute, { name: '', text: '', floats: [], ints: [], texts: [] }),
      );
  };
  const readGraph = (field: number, into: typeof operators, pbf: PbfReader) => {
    if (field === 1) into.push(pbf.readMessage(readOperator, { type: '', attributes: [] }));
  };
  try {
    return new PbfReader(bytes).readFields((field, into, pbf) => {
      if (field === 7) pbf.readMessage(readGraph, into);
    }, operators);
  } catch (cause) {
    throw new OnnxForestError('it cannot be read', { cause });
  }
}
