"""hashcat: its kernels are compiled by NVRTC at run time; each mode tests itself first, then has to find a word that we hashed.

hashcat.py FOLDER: the one where hashcat and its kernels are. The oracle is Python's hashlib.
"""
import base64
import hashlib
import hmac
import os
import subprocess
import sys
import tempfile

WORD = b"dog"
MASK = "?l?l?l"
SALT = b"salt"


def pbkdf2():
    code = lambda data: base64.b64encode(data).decode()
    return f"sha256:1000:{code(SALT)}:{code(hashlib.pbkdf2_hmac('sha256', WORD, SALT, 1000))}"


# Mode, its name, the hash, and the mask that holds the word.
MODES = [
    (0, "MD5", hashlib.md5(WORD).hexdigest(), MASK),
    (10, "MD5 with salt", f"{hashlib.md5(WORD + SALT).hexdigest()}:{SALT.decode()}", MASK),
    (50, "HMAC-MD5", f"{hmac.new(WORD, SALT, 'md5').hexdigest()}:{SALT.decode()}", MASK),
    (100, "SHA-1", hashlib.sha1(WORD).hexdigest(), MASK),
    (600, "BLAKE2b-512", "$BLAKE2$" + hashlib.blake2b(WORD).hexdigest(), MASK),
    (1400, "SHA2-256", hashlib.sha256(WORD).hexdigest(), MASK),
    (1700, "SHA2-512", hashlib.sha512(WORD).hexdigest(), MASK),
    (10800, "SHA2-384", hashlib.sha384(WORD).hexdigest(), MASK),
    (17400, "SHA3-256", hashlib.sha3_256(WORD).hexdigest(), MASK),
    # A thousand rounds for each candidate: fewer candidates.
    (10900, "PBKDF2-HMAC-SHA256", pbkdf2(), "do?l"),
]

FOUND, NOT_FOUND = 0, 1  # hashcat's exit statuses


def attack(folder, mode, digest, mask, found):
    options = ["--potfile-disable", "--logfile-disable", "--restore-disable", "--quiet", "--outfile", found, "--outfile-format", "2",
               # Small steps: an autotuner that expects a GPU's speed would measure long.
               "-n", "1", "-u", "16", "-T", "32", "--force"]
    command = [os.environ["VGPU_RUN"], os.path.join(folder, "hashcat"), "-m", str(mode), "-a", "3", digest, mask, *options]
    return subprocess.run(command, capture_output=True, text=True, errors="replace", cwd=folder,
                          env=dict(os.environ, LD_LIBRARY_PATH=folder))


def main(folder):
    right = 0
    with tempfile.TemporaryDirectory() as directory:
        for mode, name, digest, mask in MODES:
            found = os.path.join(directory, str(mode))
            run = attack(folder, mode, digest, mask, found)
            word = open(found, "rb").read().strip() if os.path.exists(found) else b""
            if run.returncode == FOUND and word == WORD:
                right += 1
                print(f"ok {mode} {name}", flush=True)
            else:
                print(f"FAILED {mode} {name}: status {run.returncode}, found {word}\n{run.stdout}{run.stderr}", flush=True)
        # And a word that is not in the mask must not be found.
        run = attack(folder, 0, hashlib.md5(b"longer").hexdigest(), MASK, os.path.join(directory, "none"))
        honest = run.returncode == NOT_FOUND
        print("ok nothing found where nothing is" if honest else f"FAILED: status {run.returncode}\n{run.stdout}{run.stderr}", flush=True)
    print(f"result {right} of {len(MODES)} hash modes found the word")
    return 0 if right == len(MODES) and honest else 1


sys.exit(main(sys.argv[1]))
