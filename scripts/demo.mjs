// Greedy completions of fixed prompts by llama.cpp through node-llama-cpp: `demo.mjs cuda|cpu TOKENS FILE`.
// Writes what it generated to FILE as JSON; `compare CPU CUDA` holds two such files against each other, and asks the CPU build
// how sure it was where they first differ.
import fs from "node:fs";
import path from "node:path";
import {createRequire} from "node:module";
import {pathToFileURL} from "node:url";

// Of Q4_1 weights, llama.cpp's two builds compute different things: both round activations to eight bits, but the CUDA build
// adds the weights' offsets to the sum of the activations before rounding, and a small model falls to other words wherever it
// hesitates. These prompts go on surely, but for the last one, whose first word is a close call.
const prompts = [
    "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,",
    "It was the best of times, it was the worst of times, it was the age of wisdom,",
    "To be, or not to be, that is the question:"
];

async function load(backend) {
    const home = process.env.LLAMA_HOME;
    const library = createRequire(path.join(home, "package.json")).resolve("node-llama-cpp");
    const {getLlama, LlamaLogLevel, LlamaCompletion} = await import(pathToFileURL(library));
    const llama = await getLlama({
        gpu: backend === "cuda" ? "cuda" : false, build: "never", logLevel: LlamaLogLevel.info, maxThreads: 1,
        logger: (level, message) => { if (/offloaded|Device 0|error/i.test(message)) console.log("  " + message.trim()); }
    });
    const model = await llama.loadModel({
        modelPath: path.join(home, "model.gguf"), gpuLayers: backend === "cuda" ? "max" : 0
    });
    const context = await model.createContext({contextSize: 256, threads: 1, flashAttention: true, sequences: 1});
    return {model, context, LlamaCompletion};
}

async function generate(backend, tokens, file) {
    const {model, context, LlamaCompletion} = await load(backend);
    const results = [];
    for (const prompt of prompts) {
        const sequence = context.getSequence();
        const completion = new LlamaCompletion({contextSequence: sequence});
        const begun = performance.now();
        const generated = [];
        await completion.generateCompletion(prompt, {
            maxTokens: tokens, temperature: 0, onToken: (part) => generated.push(...part)
        });
        const seconds = (performance.now() - begun) / 1000;
        console.log(`  ${prompt}${model.detokenize(generated)}`);
        results.push({prompt, tokens: generated, seconds});
        completion.dispose();
        sequence.dispose();
    }
    fs.writeFileSync(file, JSON.stringify(results));
    process.exit(0);
}

// Difference of the two highest logits of the CPU build behind the tokens that both agree on.
async function gap({model}, {prompt, tokens}, agreed) {
    const context = await model.createContext({contextSize: 256, threads: 1, flashAttention: true});
    const input = [...model.tokenize(prompt), ...tokens.slice(0, agreed)];
    // llama.cpp's models want their first token; the completion has added it too.
    if (model.tokens.bos != null && model.tokens.shouldPrependBosToken) input.unshift(model.tokens.bos);
    const sequence = context.getSequence();
    const last = input.pop();
    const answers = await sequence.controlledEvaluate([
        ...input, [last, {generateNext: {probabilities: true, options: {temperature: 0}}}]
    ]);
    await context.dispose();
    const best = [...answers.at(-1).next.probabilities.values()].sort((x, y) => y - x);
    return Math.log(best[0] / best[1]);
}

async function compare(cpuFile, cudaFile) {
    const [cpu, cuda] = [cpuFile, cudaFile].map((file) => JSON.parse(fs.readFileSync(file)));
    const judge = await load("cpu");
    let [identical, all] = [0, 0];
    for (const [index, expected] of cpu.entries()) {
        const same = expected.tokens.findIndex((token, place) => token !== cuda[index].tokens[place]);
        const agreed = same < 0 ? expected.tokens.length : same;
        const how = same < 0 ? "" : `; there the CPU build's top-2 logit gap is ${(await gap(judge, expected, agreed)).toFixed(3)}`;
        console.log(`  prompt ${index + 1}: first ${agreed} of ${expected.tokens.length} tokens identical${how}`);
        identical += agreed;
        all += expected.tokens.length;
    }
    const speed = (results) => results.reduce((sum, result) => sum + result.tokens.length, 0)
        / results.reduce((sum, result) => sum + result.seconds, 0);
    console.log(`tokens identical: ${identical}/${all}`);
    console.log(`speed: ${speed(cuda).toFixed(2)} tokens/s on the virtual GPU, ${speed(cpu).toFixed(2)} on llama.cpp's CPU backend`);
    process.exit(0);
}

const [, , action, first, second] = process.argv;
if (action === "compare") await compare(first, second);
else await generate(action, Number(first), second);
