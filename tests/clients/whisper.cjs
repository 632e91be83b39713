// What whisper.cpp, through @fugood/whisper.node's native part, writes to a sound: `whisper.cjs ADDON OUT cpu|gpu plain|flash MODEL…`
// `compare CPU GPU` holds what two runs wrote against each other, word by word.
const fs = require("node:fs");
const path = require("node:path");

const [, , action, ...rest] = process.argv;
// Half a minute would be the longest piece; two tones that come and go are a few seconds. Signed 16 bits at 16 kHz.
const sound = Int16Array.from({length: 4 * 16000}, (_, index) => {
    const seconds = index / 16000;
    const tone = (hertz, change) => Math.sin(2 * Math.PI * hertz * seconds) * Math.sin(change * seconds);
    return 8000 * tone(440, 3) + 4000 * tone(1330, 7);
});

async function listen(addon, out, device, attention, models) {
    const {WhisperContext} = require(addon);
    const log = [];
    WhisperContext.toggleNativeLog(true, (level, text) => log.push(text));
    const results = {};
    for (const file of models) {
        const context = await new WhisperContext({filePath: file, useGpu: device === "gpu", useFlashAttn: attention === "flash"});
        const {promise} = context.transcribeData(sound.buffer, {
            maxThreads: 1, language: "en", temperature: 0, temperatureInc: 0, bestOf: 1, beamSize: 1
        });
        results[path.basename(file, ".bin")] = (await promise).result.trim().split(" ");
        await context.release();
    }
    const devices = log.filter((line) => /using \w+ backend/.test(line));
    if ((devices.length > 0) !== (device === "gpu")) throw new Error(`wrong device: ${devices}`);
    fs.writeFileSync(out, JSON.stringify(results));
}

// A random model's choice between 50,257 words is the same by chance once in as many times. Where two come close, the builds part,
// since they round differently, and go on differently from there.
function compare(cpuFile, gpuFile) {
    const [cpu, gpu] = [cpuFile, gpuFile].map((file) => JSON.parse(fs.readFileSync(file)));
    const told = Object.entries(gpu).map(([model, words]) => {
        const expected = cpu[model];
        const parted = expected.findIndex((word, index) => word !== words[index]);
        const same = parted < 0 ? expected.length : parted;
        console.log(`  ${model}: ${words.slice(0, 12).join(" ")} …; CPU build ${expected.slice(0, 12).join(" ")} …`);
        if (new Set(expected).size < 5 || same < 5) process.exitCode = 1;
        return `${model} ${same} of ${expected.length} words`;
    });
    console.log(`total ${told.join(", ")}`);
}

async function main() {
    if (action === "compare") return compare(...rest);
    await listen(action, rest[0], rest[1], rest[2], rest.slice(3));
    process.exit(0);
}

main().catch((error) => {
    console.error(error);
    process.exit(1);
});
