// Speed of llama.cpp through node-llama-cpp: `llama.mjs cuda|cpu THREADS MODEL TEXT SECONDS [PROMPT DECODE]`.
// Evaluates a prompt of PROMPT tokens in one batch, then generates eight tokens and DECODE more behind it, greedily, and prints as JSON how many
// of each there were, the seconds that each took, and the tokens. Without counts they are 512 and 128, or what SECONDS allow of them.
import fs from "node:fs";
import path from "node:path";
import {createRequire} from "node:module";
import {pathToFileURL} from "node:url";

const [, , backend, threads, modelPath, textFile, patience, ...counts] = process.argv;
const [fullPrompt, fullDecode, warmDecode] = [512, 128, 8];

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
        contextSize: fullPrompt + fullDecode + 2 * warmDecode, batchSize: fullPrompt, threads: Number(threads), flashAttention: true
    });
    return {model, sequence: context.getSequence()};
}

// Evaluates the first tokens of the text in an empty sequence; the batch asks for nothing.
async function prompt(sequence, tokens, count) {
    await sequence.clearHistory();
    return await seconds(() => sequence.evaluateWithoutGeneratingNewTokens(tokens.slice(0, count)));
}

// Generates tokens behind what is evaluated; each costs one evaluation, of the token before it. At least eight.
async function decode(sequence, lead, count, limit) {
    const tokens = [];
    const begun = performance.now();
    const elapsed = () => (performance.now() - begun) / 1000;
    for await (const token of sequence.evaluate([lead], {temperature: 0, yieldEogToken: true})) {
        tokens.push(token);
        if (tokens.length >= count || (elapsed() > limit && tokens.length >= warmDecode)) break;
    }
    return {tokens, seconds: elapsed()};
}

// The largest of 512, 256, … that is through in time: doubled as long as twice the last one's time would be.
async function affordable(sequence, tokens, limit) {
    let count = 32;
    let time = await prompt(sequence, tokens, count);
    while (count < fullPrompt && 2 * time <= limit) {
        count *= 2;
        time = await prompt(sequence, tokens, count);
    }
    return count;
}

const {model, sequence} = await load();
const text = fs.readFileSync(textFile, "utf8");
const tokens = model.tokenize(text + text);
const limit = Number(patience);
const promptCount = counts.length > 0 ? Number(counts[0]) : await affordable(sequence, tokens, limit);
const decodeCount = counts.length > 0 ? Number(counts[1]) : fullDecode;

// The best of up to four runs within the time: in the first ones kernels may still be on their way to their best form.
let best = await prompt(sequence, tokens, promptCount);
for (let runs = 1, spent = best; runs < 4 && spent + best < limit; runs++) {
    const time = await prompt(sequence, tokens, promptCount);
    best = Math.min(best, time);
    spent += time;
}
const warm = await decode(sequence, tokens[promptCount], warmDecode, Infinity);
const generated = await decode(sequence, warm.tokens.at(-1), decodeCount, counts.length > 0 ? Infinity : limit);
console.log(JSON.stringify({
    prompt: {tokens: promptCount, seconds: best}, decode: {tokens: generated.tokens.length, seconds: generated.seconds},
    generated: [...warm.tokens, ...generated.tokens]
}));
process.exit(0);
