// llama.cpp through @fugood/llama.node's native part: `fugood-llama.cjs ADDON cpu|gpu MODEL TOKENS OUT` writes what the model makes of
// texts (its last layer's mean), and how it goes on with them greedily; `compare CPU GPU` holds what two runs wrote against each other.
const fs = require("node:fs");

const [, , action, ...rest] = process.argv;
const prompts = [
    "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,",
    "It was the best of times, it was the worst of times, it was the age of wisdom,",
    "To be, or not to be, that is the question:"
];
// A long one too: other kernels take many tokens at a time.
const texts = [...prompts, prompts.join(" ").repeat(4)];
// Squared distance over squared length. Both builds round activations to eight bits, each in its own way (llama-judge.py has more on
// it); an unrelated text's is 0.05 and more.
const ALLOWED = 8e-3;

async function open(addon, device, model, options) {
    const {LlamaContext} = require(addon);
    const context = await new LlamaContext({
        model, n_ctx: 512, n_threads: 1, n_gpu_layers: device === "gpu" ? 99 : 0, flash_attn_type: "on", n_parallel: 1, ...options
    });
    const devices = context.getUsedDevices();
    if (devices.some((name) => /CUDA/.test(name)) !== (device === "gpu")) throw new Error(`wrong device: ${devices}`);
    return context;
}

async function generate(addon, device, model, tokens, out) {
    const means = await open(addon, device, model, {embedding: true, pooling_type: "mean", n_ubatch: 512});
    const embeddings = [];
    for (const text of texts) embeddings.push(Array.from((await means.embedding(text, {embd_normalize: -1})).embedding));
    await means.release();
    const context = await open(addon, device, model, {});
    const continued = [];
    for (const prompt of prompts) {
        const pieces = [];
        await context.completion({prompt, n_predict: tokens, top_k: 1, penalty_last_n: 0}, (it) => pieces.push(it.token));
        console.log(`  ${prompt}${pieces.join("")}`);
        continued.push(pieces);
    }
    fs.writeFileSync(out, JSON.stringify({embeddings, continued}));
    process.exit(0);
}

function distance(x, y) {
    const squares = (values) => values.reduce((sum, value) => sum + value * value, 0);
    return squares(x.map((value, index) => value - y[index])) / squares(x);
}

function compare(cpuFile, gpuFile) {
    const [cpu, gpu] = [cpuFile, gpuFile].map((file) => JSON.parse(fs.readFileSync(file)));
    const unrelated = distance(cpu.embeddings[0], cpu.embeddings[1]);
    const distances = cpu.embeddings.map((expected, index) => distance(expected, gpu.embeddings[index]));
    console.log(`  distances ${distances.map((it) => it.toExponential(1)).join(" ")}; of two texts ${unrelated.toExponential(1)}`);
    // The test must be able to tell one text from another.
    if (!(unrelated > 4 * ALLOWED) || !distances.every((it) => it < ALLOWED)) process.exitCode = 1;
    let [same, all] = [0, 0];
    for (const [index, pieces] of cpu.continued.entries()) {
        const parted = pieces.findIndex((piece, place) => piece !== gpu.continued[index][place]);
        const agreed = parted < 0 ? pieces.length : parted;
        console.log(`  prompt ${index + 1}: first ${agreed} of ${pieces.length} tokens identical`);
        same += agreed;
        all += pieces.length;
    }
    // Of the first prompt the model is sure.
    if (JSON.stringify(cpu.continued[0]) !== JSON.stringify(gpu.continued[0])) process.exitCode = 1;
    console.log(`total ${distances.length} of ${distances.length} texts within ${Math.max(...distances).toExponential(1)}, ${same} of ${all} greedy tokens`);
}

if (action === "compare") compare(...rest);
else generate(action, rest[0], rest[1], Number(rest[2]), rest[3]);
