// How surprised models are by a text, by llama.cpp through node-llama-cpp: `llama-perplexity.mjs cuda|cpu TEXT TOKENS OUT MODEL…`
// writes the logarithm of each token's probability, model by model, to OUT as JSON. `compare LIMIT CPU CUDA` holds two such files
// against each other: one line per model, and an error where perplexities differ by more than LIMIT (a fraction).
import fs from "node:fs";
import path from "node:path";
import {createRequire} from "node:module";
import {pathToFileURL} from "node:url";

async function load(backend) {
    const library = createRequire(path.join(process.env.LLAMA_HOME, "package.json")).resolve("node-llama-cpp");
    const {getLlama, LlamaLogLevel} = await import(pathToFileURL(library));
    return await getLlama({gpu: backend === "cuda" ? "cuda" : false, build: "never", logLevel: LlamaLogLevel.error, maxThreads: 1});
}

async function surprise(llama, file, text, limit) {
    const model = await llama.loadModel({modelPath: file, gpuLayers: llama.gpu ? "max" : 0});
    const context = await model.createContext({contextSize: 512, batchSize: 128, threads: 1, flashAttention: true});
    const tokens = model.tokenize(text).slice(0, limit);
    if (model.tokens.bos != null && model.tokens.shouldPrependBosToken) tokens.unshift(model.tokens.bos);
    const answers = await context.getSequence().controlledEvaluate(tokens.slice(0, -1).map((token, index) => [token, {generateNext: {
        logits: {filter: {tokens: [tokens[index + 1]], includeMax: true}}, totalLogitWeight: true, options: {temperature: 0}
    }}]));
    const logarithms = answers.map(({next: {logits, totalLogitWeight}}, index) =>
        logits.get(tokens[index + 1]) - Math.max(...logits.values()) - Math.log(totalLogitWeight));
    await context.dispose();
    await model.dispose();
    return logarithms;
}

async function measure(backend, textFile, tokens, out, files) {
    const llama = await load(backend);
    const text = fs.readFileSync(textFile, "utf8");
    const results = {};
    for (const file of files) {
        const begun = performance.now();
        const name = path.basename(file, ".gguf");
        results[name] = await surprise(llama, file, text, Number(tokens));
        console.log(`  ${name}: ${results[name].length} tokens, ${((performance.now() - begun) / 1000).toFixed(1)} s`);
    }
    fs.writeFileSync(out, JSON.stringify(results));
    process.exit(0);
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const perplexity = (logarithms) => Math.exp(-mean(logarithms));

function compare(limit, cpuFile, cudaFile) {
    const [cpu, cuda] = [cpuFile, cudaFile].map((file) => JSON.parse(fs.readFileSync(file)));
    let failed = 0;
    for (const [name, expected] of Object.entries(cpu)) {
        const actual = cuda[name];
        const difference = perplexity(actual) / perplexity(expected) - 1;
        const apart = actual.map((value, index) => value - expected[index]);
        const spread = Math.sqrt(mean(apart.map((value) => value ** 2)));
        // What the mean of so many independent differences of that size would be.
        const chance = spread / Math.sqrt(apart.length);
        console.log(`  ${name}: ${perplexity(actual).toFixed(4)}, CPU build ${perplexity(expected).toFixed(4)}: ${(100 * difference).toFixed(4)} %;`
            + ` a token's logarithm differs by ${spread.toExponential(1)}, which lets their mean differ by ${(100 * chance).toFixed(4)} %`);
        if (actual.length !== expected.length || !(Math.abs(difference) <= Number(limit))) failed++;
    }
    process.exit(failed ? 1 : 0);
}

const [, , action, ...rest] = process.argv;
if (action === "compare") compare(...rest);
else await measure(action, rest[0], rest[1], rest[2], rest.slice(3));
