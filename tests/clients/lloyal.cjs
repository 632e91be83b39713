// Logits of language models by llama.cpp through lloyal.node's native part: `lloyal.cjs ADDON FOLDER RUN MODEL…`
// FOLDER/MODEL-RUN.f32 gets the logits behind a prompt and behind each of some more tokens, one row each.
const fs = require("node:fs");
const path = require("node:path");

const [, , addon, folder, run, ...models] = process.argv;
const lloyal = require(addon);
const prompt = Array.from({length: 37}, (_, index) => 2 + 97 * index % 387);
const more = [[17, 203, 311], [5], [120], [260], [44]];

async function main() {
    const devices = lloyal.listDevices().map((it) => it.type);
    if (devices.includes("gpu") !== (run === "cuda")) throw new Error(`devices: ${devices}`);
    for (const model of models) {
        const context = await lloyal.createContext({modelPath: path.join(folder, `${model}.gguf`), nCtx: 256, nThreads: 1});
        const branch = context._branchCreate(0);
        const rows = [];
        for (const tokens of [prompt, ...more]) {
            await context._branchPrefill(branch, tokens);
            rows.push(Float32Array.from(context._branchGetLogits(branch)));
        }
        fs.writeFileSync(path.join(folder, `${model}-${run}.f32`), Buffer.concat(rows.map((row) => Buffer.from(row.buffer))));
        context.dispose();
    }
}

main();
