// How surprised models are by a text, by llama.cpp through node-llama-cpp: `llama-perplexity.mjs cuda|cpu TEXT ALONE OUT MODEL…`
// evaluates the text in batches but for the last ALONE tokens, which come one by one as in generation, and writes the logarithm
// of each token's probability, model by model, to OUT as JSON, and the tokens. `compare exact|rounded CUDA MODEL CPU MODEL` holds a
// model of one such file against one of another; `distances BUILD IMITATION MODEL EXACT MODEL` how far a build and what
// llama-rounding.py makes of its roundings lie from unrounded arithmetic.
import fs from "node:fs";
import path from "node:path";
import {createRequire} from "node:module";
import {pathToFileURL} from "node:url";

async function load(backend) {
    const library = createRequire(path.join(process.env.LLAMA_HOME, "package.json")).resolve("node-llama-cpp");
    const {getLlama, LlamaLogLevel} = await import(pathToFileURL(library));
    return await getLlama({gpu: backend === "cuda" ? "cuda" : false, build: "never", logLevel: LlamaLogLevel.error, maxThreads: 1});
}

async function surprise(llama, file, text, alone) {
    const model = await llama.loadModel({modelPath: file, gpuLayers: llama.gpu ? "max" : 0});
    const context = await model.createContext({contextSize: 512, batchSize: 128, threads: 1, flashAttention: true});
    const tokens = model.tokenize(text);
    if (model.tokens.bos != null && model.tokens.shouldPrependBosToken) tokens.unshift(model.tokens.bos);
    // The selected one is the one with the largest logit. (`includeMax` leaves that out if others are asked for by name.)
    const input = tokens.slice(0, -1).map((token, index) => [token, {generateNext: {
        token: true, logits: {filter: {tokens: [tokens[index + 1]], includeSelected: true}}, totalLogitWeight: true,
        options: {temperature: 0}
    }}]);
    const sequence = context.getSequence();
    const answers = await sequence.controlledEvaluate(input.slice(0, input.length - alone));
    for (const item of input.slice(input.length - alone)) answers.push(...await sequence.controlledEvaluate([item]));
    const logarithms = answers.map(({next: {token, logits, totalLogitWeight}}, index) =>
        logits.get(tokens[index + 1]) - logits.get(token) - Math.log(totalLogitWeight));
    await context.dispose();
    await model.dispose();
    return {tokens, logarithms};
}

async function measure(backend, textFile, alone, out, files) {
    const llama = await load(backend);
    const text = fs.readFileSync(textFile, "utf8");
    const results = {};
    for (const file of files) {
        const begun = performance.now();
        const name = path.basename(file, ".gguf");
        const {tokens, logarithms} = await surprise(llama, file, text, Number(alone));
        Object.assign(results, {[name]: logarithms, [`${name} tokens`]: tokens});
        console.log(`  ${name}: ${results[name].length} tokens, ${((performance.now() - begun) / 1000).toFixed(1)} s`);
    }
    fs.writeFileSync(out, JSON.stringify(results));
    process.exit(0);
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const perplexity = (logarithms) => Math.exp(-mean(logarithms));

// `exact`: both sides round alike or not at all, perplexities are equal within a thousandth. `rounded`: each rounds activations to
// eight bits in its own way, which moves the logarithm of a token's probability by a tenth to and fro. Then a thousandth would
// take ten thousand tokens; required is that the mean lies within three standard deviations of nothing, and that tokens stay close.
const verdicts = {
    exact: ({difference}) => Math.abs(difference) <= 0.001,
    rounded: ({difference, chance, spread}) => Math.abs(Math.log1p(difference)) <= 3 * chance && spread <= 0.2
};

function compare(how, cudaFile, cudaModel, cpuFile, cpuModel) {
    const [actual, expected] = [[cudaFile, cudaModel], [cpuFile, cpuModel]].map(
        ([file, model]) => JSON.parse(fs.readFileSync(file))[model]);
    const apart = actual.map((value, index) => value - expected[index]);
    const spread = Math.sqrt(mean(apart.map((value) => value ** 2)));
    // What the mean of so many independent numbers of that size differs from nothing by chance.
    const chance = spread / Math.sqrt(apart.length);
    const difference = perplexity(actual) / perplexity(expected) - 1;
    const right = actual.length === expected.length && verdicts[how]({difference, chance, spread});
    const percent = (value) => `${(100 * value).toFixed(3)} %`;
    console.log(`${cudaModel} ${perplexity(actual).toFixed(4)}, CPU build with ${cpuModel} ${perplexity(expected).toFixed(4)}:`
        + ` ${percent(difference)}, by chance ${percent(chance)}, a token's logarithm ${spread.toFixed(4)}${right ? "" : " WRONG"}`);
    process.exit(right ? 0 : 1);
}

// Two programs that round alike part after a few layers; how much their roundings do stays comparable. How much by chance: rounding
// ties to even or away from nothing makes 0.18 or 0.16 of the same Q4_1.
function distances(buildFile, imitationFile, model, exactFile, exactModel) {
    const exact = JSON.parse(fs.readFileSync(exactFile))[exactModel];
    const [build, imitation] = [buildFile, imitationFile].map((file) => {
        const logarithms = JSON.parse(fs.readFileSync(file))[model];
        if (logarithms.length !== exact.length) throw new Error(`${file}: ${logarithms.length} of ${exact.length} tokens`);
        return Math.sqrt(mean(logarithms.map((value, index) => (value - exact[index]) ** 2)));
    });
    const right = Math.abs(Math.log(build / imitation)) <= Math.log(1.3);
    console.log(`${model} ${build.toFixed(3)} (${imitation.toFixed(3)} imitated)${right ? "" : " WRONG"}`);
    process.exit(right ? 0 : 1);
}

const [, , action, ...rest] = process.argv;
if (action === "compare") compare(...rest);
else if (action === "distances") distances(...rest);
else await measure(action, rest[0], rest[1], rest[2], rest.slice(3));
