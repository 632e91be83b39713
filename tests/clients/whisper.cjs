// What whisper.cpp, through @fugood/whisper.node's native part, writes to a sound: `whisper.cjs ADDON OUT cpu|gpu MODEL…`
const fs = require("node:fs");
const path = require("node:path");

const [, , addon, out, device, ...models] = process.argv;
const {WhisperContext} = require(addon);
// Half a minute would be the longest piece; two tones that come and go are a few seconds. Signed 16 bits at 16 kHz.
const sound = Int16Array.from({length: 4 * 16000}, (_, index) => {
    const seconds = index / 16000;
    const tone = (hertz, change) => Math.sin(2 * Math.PI * hertz * seconds) * Math.sin(change * seconds);
    return 8000 * tone(440, 3) + 4000 * tone(1330, 7);
});

async function main() {
    const log = [];
    WhisperContext.toggleNativeLog(true, (level, text) => log.push(text));
    const results = {};
    for (const file of models) {
        for (const useFlashAttn of [false, true]) {
            const context = await new WhisperContext({filePath: file, useGpu: device === "gpu", useFlashAttn});
            const {promise} = context.transcribeData(sound.buffer, {
                maxThreads: 1, language: "en", temperature: 0, temperatureInc: 0, bestOf: 1, beamSize: 1
            });
            const {result} = await promise;
            results[`${path.basename(file)}${useFlashAttn ? " flash" : ""}`] = result;
            await context.release();
        }
    }
    fs.writeFileSync(out, JSON.stringify({results, devices: log.join("").match(/^whisper_backend_init_gpu: .*$/gm)}, null, 1));
    process.exit(0);
}

main().catch((error) => {
    console.error(error);
    process.exit(1);
});
