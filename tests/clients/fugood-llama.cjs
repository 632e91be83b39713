// Greedy texts of llama.cpp through @fugood/llama.node's native part: `fugood-llama.cjs ADDON cpu|gpu MODEL TOKENS OUT`
// `compare CPU GPU` holds what two runs wrote against each other, token by token.
const fs = require("node:fs");

const [, , action, ...rest] = process.argv;
// Those of scripts/demo.mjs: the first two leave no doubt, the last one's first word is a close call.
const prompts = [
    "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,",
    "It was the best of times, it was the worst of times, it was the age of wisdom,",
    "To be, or not to be, that is the question:"
];

async function generate(addon, device, model, tokens, out) {
    const {LlamaContext} = require(addon);
    const context = await new LlamaContext({
        model, n_ctx: 256, n_threads: 1, n_gpu_layers: device === "gpu" ? 99 : 0, flash_attn_type: "on", n_parallel: 1
    });
    const devices = context.getUsedDevices ? context.getUsedDevices().filter((name) => /CUDA/.test(name)) : [];
    if ((devices.length > 0) !== (device === "gpu")) throw new Error(`wrong device: ${context.getUsedDevices()}`);
    const results = [];
    for (const prompt of prompts) {
        const begun = performance.now();
        const pieces = [];
        await context.completion({prompt, n_predict: tokens, temperature: 0, seed: 1}, (it) => pieces.push(it.token));
        console.log(`  ${prompt}${pieces.join("")}`);
        results.push({pieces, seconds: (performance.now() - begun) / 1000});
    }
    fs.writeFileSync(out, JSON.stringify(results));
    process.exit(0);
}

function compare(cpuFile, gpuFile) {
    const [cpu, gpu] = [cpuFile, gpuFile].map((file) => JSON.parse(fs.readFileSync(file)));
    let [same, all] = [0, 0];
    for (const [index, {pieces}] of cpu.entries()) {
        const parted = pieces.findIndex((piece, place) => piece !== gpu[index].pieces[place]);
        const agreed = parted < 0 ? pieces.length : parted;
        console.log(`  prompt ${index + 1}: first ${agreed} of ${pieces.length} tokens identical`);
        if (index < 2 && parted >= 0) process.exitCode = 1;
        same += agreed;
        all += pieces.length;
    }
    console.log(`total ${same} of ${all}`);
}

if (action === "compare") compare(...rest);
else generate(action, rest[0], rest[1], Number(rest[2]), rest[3]);
