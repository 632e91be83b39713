// Greedy completions of fixed prompts by llama.cpp through node-llama-cpp: `demo.mjs cuda|cpu TOKENS FILE`.
// Writes what it generated to FILE as JSON; with `compare CPU CUDA` holds two such files against each other.
import fs from "node:fs";
import path from "node:path";
import {createRequire} from "node:module";
import {pathToFileURL} from "node:url";

const prompts = [
    "The capital of France is",
    "Once upon a time, in a small village by the sea,",
    "Water boils at a temperature of"
];

async function generate(backend, tokens, file) {
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

function compare(cpuFile, cudaFile) {
    const [cpu, cuda] = [cpuFile, cudaFile].map((file) => JSON.parse(fs.readFileSync(file)));
    let [identical, all] = [0, 0];
    cpu.forEach((expected, index) => {
        const same = expected.tokens.findIndex((token, place) => token !== cuda[index].tokens[place]);
        const agreed = same < 0 ? expected.tokens.length : same;
        console.log(`  prompt ${index + 1}: first ${agreed} of ${expected.tokens.length} tokens identical`);
        identical += agreed;
        all += expected.tokens.length;
    });
    const speed = (results) => results.reduce((sum, result) => sum + result.tokens.length, 0)
        / results.reduce((sum, result) => sum + result.seconds, 0);
    console.log(`tokens identical: ${identical}/${all}`);
    console.log(`speed: ${speed(cuda).toFixed(2)} tokens/s on the virtual GPU, ${speed(cpu).toFixed(2)} on llama.cpp's CPU backend`);
}

const [, , action, first, second] = process.argv;
if (action === "compare") compare(first, second);
else await generate(action, Number(first), second);
