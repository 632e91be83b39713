// Speed of llama.cpp through node-llama-cpp: `llama.mjs cuda|cpu THREADS MODEL TEXT SECONDS [PROMPT DECODE]`.
// Evaluates a prompt of PROMPT tokens in one batch, then generates DECODE tokens greedily behind it, and prints as JSON how many
// of each there were, the seconds that each took, and the tokens. Without counts they are 512 and 128, or what SECONDS allow of them.
import fs from "node:fs";
import path from "node:path";
import {createRequire} from "node:module";
import {pathToFileURL} from "node:url";

const [, , backend, threads, modelPath, textFile, patience, ...counts] = process.argv;
const [fullPrompt, fullDecode] = [512, 128];

const seconds = async (work) => {
    const begun = performance.now();
    await work();
    return (performance.now() - begun) / 1000;
};

async function load() {
    const library = createRequire(path.join(process.env.LLAMA_HOME, "package.json")).resolve("node-llama-cpp");
    const {getLlama, LlamaLogLevel} = await import(pathToFileURL(library));
    const llama = await getLlama({
        gpu: backend === "cuda" ? "cuda" : false, build: "never", logLevel: LlamaLogLevel.error, maxThreads: Number(threads)
    });
    const model = await llama.loadModel({modelPath, gpuLayers: llama.gpu ? "max" : 0});
    const context = await model.createContext({
        contextSize: fullPrompt + fullDecode, batchSize: fullPrompt, threads: Number(threads), flashAttention: true
    });
    return {model, sequence: context.getSequence()};
}

// Evaluates the first tokens of the text in an empty sequence; the batch asks for nothing.
async function prompt(sequence, tokens, count) {
    await sequence.clearHistory();
    return await seconds(() => sequence.evaluateWithoutGeneratingNewTokens(tokens.slice(0, count)));
}

// Generates tokens behind what is evaluated. The first also evaluates the token that leads to it, so all are alike.
async function decode(sequence, lead, count, limit) {
    const tokens = [];
    const begun = performance.now();
    const elapsed = () => (performance.now() - begun) / 1000;
    for await (const token of sequence.evaluate([lead], {temperature: 0, yieldEogToken: true})) {
        tokens.push(token);
        if (tokens.length >= count || (elapsed() > limit && tokens.length >= 8)) break;
    }
    return {tokens, seconds: elapsed()};
}

// The largest of 512, 256, … that is through in time, going by a smaller batch of which the second run counts.
async function affordable(sequence, tokens, limit) {
    const probe = 32;
    await prompt(sequence, tokens, probe);
    const rate = probe / await prompt(sequence, tokens, probe);
    let count = fullPrompt;
    while (count > probe && count / rate > limit) count /= 2;
    return count;
}

const {model, sequence} = await load();
const text = fs.readFileSync(textFile, "utf8");
const tokens = model.tokenize(text + text);
const limit = Number(patience);
const promptCount = counts.length > 0 ? Number(counts[0]) : await affordable(sequence, tokens, limit);
const decodeCount = counts.length > 0 ? Number(counts[1]) : fullDecode;

// Warm: kernels are loaded, and compiled if they are; then the best of up to three runs within the time.
let best = await prompt(sequence, tokens, promptCount);
for (let runs = 1, spent = best; runs < 4 && spent + best < limit; runs++) {
    const time = await prompt(sequence, tokens, promptCount);
    best = Math.min(best, time);
    spent += time;
}
const generated = await decode(sequence, tokens[promptCount], decodeCount, counts.length > 0 ? Infinity : limit);
console.log(JSON.stringify({
    prompt: {tokens: promptCount, seconds: best}, decode: {tokens: generated.tokens.length, seconds: generated.seconds},
    generated: generated.tokens
}));
process.exit(0);
