// Logits of language models by llama.cpp through node-llama-cpp: `llama-logits.mjs cuda|cpu FOLDER JOBS NAME`, LLAMA_HOME says where it is.
//
// JOBS is a JSON list of {name, model, flash, batches, …}: file FOLDER/model.gguf, flash attention or not, and the tokens that are
// evaluated together, batch by batch. Of each job FOLDER/name-NAME.f32 gets the logits behind every token, one row each.
import fs from "node:fs";
import path from "node:path";
import {createRequire} from "node:module";
import {pathToFileURL} from "node:url";

const [, , backend, folder, jobFile, runName] = process.argv;
const library = createRequire(path.join(process.env.LLAMA_HOME, "package.json")).resolve("node-llama-cpp");
const {getLlama, LlamaLogLevel} = await import(pathToFileURL(library));

// How many of a model's layers lie on the device is known from the log only, which comes when it comes.
const log = [];
const llama = await getLlama({
    gpu: backend === "cuda" ? "cuda" : false, build: "never", logLevel: LlamaLogLevel.debug, maxThreads: 1,
    logger: (level, message) => log.push(message)
});

async function checkPlaces(models) {
    if (backend === "cpu") return;
    const loads = () => [...log.join("").matchAll(/offloaded (\d+)\/(\d+) layers/g)];
    const deadline = performance.now() + 10_000;
    while (loads().length < models && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 10));
    const elsewhere = loads().filter(([, there, all]) => there !== all);
    if (loads().length < models || elsewhere.length > 0) {
        throw new Error(`${loads().length} of ${models} models, elsewhere: ${elsewhere.map((it) => it[0])}`);
    }
}

async function logitsOf(sequence, tokens, vocabulary) {
    const answers = await sequence.controlledEvaluate(
        tokens.map((token) => [token, {generateNext: {logits: true, options: {temperature: 0}}}])
    );
    return answers.map(({next: {logits}}) => {
        const row = new Float32Array(vocabulary);
        for (const [token, logit] of logits) row[token] = logit;
        return row;
    });
}

const jobs = JSON.parse(fs.readFileSync(jobFile));
for (const job of jobs) {
    const begun = performance.now();
    const model = await llama.loadModel({
        modelPath: path.join(folder, `${job.model}.gguf`), gpuLayers: backend === "cuda" ? "max" : 0, useMmap: false
    });
    const context = await model.createContext({
        contextSize: job.contextSize ?? 256, threads: 1, flashAttention: job.flash, sequences: 1, failedCreationRemedy: false,
        experimentalKvCacheKeyType: job.cache, experimentalKvCacheValueType: job.cache
    });
    const sequence = context.getSequence();
    const vocabulary = model.fileInfo.metadata.tokenizer.ggml.tokens.length;
    const rows = [];
    let given = 0;
    for (const batch of job.batches) {
        if (batch.erase) {
            await sequence.eraseContextTokenRanges([batch.erase]);
        } else {
            rows.push(...await logitsOf(sequence, batch, vocabulary));
            given += batch.length;
        }
    }
    // Whether tokens had to leave is what such a job is about.
    if (Boolean(job.leaves) !== sequence.nextTokenIndex < given) {
        throw new Error(`${job.name}: ${sequence.nextTokenIndex} of ${given} tokens kept`);
    }
    fs.writeFileSync(path.join(folder, `${job.name}-${runName}.f32`), Buffer.concat(rows.map((row) => Buffer.from(row.buffer))));
    await context.dispose();
    await model.dispose();
    console.log(`  ${job.name}: ${rows.length} tokens, ${((performance.now() - begun) / 1000).toFixed(1)} s`);
}
await checkPlaces(jobs.length);
process.exit(0);
