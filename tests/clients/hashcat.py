"""hashcat: its kernels are compiled by NVRTC at run time; each mode tests itself first, then has to find a word that we hashed.

hashcat.py FOLDER [MODE…]: the folder where hashcat and its kernels are. The oracle is Python's hashlib.
"""
import base64
import hashlib
import hmac
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import warnings
import zlib

WORD = b"dog"
MASK = "?l?l?l"
SALT = b"salt"


def md4(data):
    """RFC 1320: hashlib has it only where OpenSSL's legacy provider is on."""
    turn = lambda value, by: (value << by | value >> 32 - by) & 0xFFFFFFFF
    message = data + b"\x80" + bytes((55 - len(data)) % 64) + struct.pack("<Q", 8 * len(data))
    state = [0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476]
    rounds = [
        (lambda b, c, d: b & c | ~b & d, 0, list(range(16)), (3, 7, 11, 19)),
        (lambda b, c, d: b & c | b & d | c & d, 0x5A827999, [i % 4 * 4 + i // 4 for i in range(16)], (3, 5, 9, 13)),
        (lambda b, c, d: b ^ c ^ d, 0x6ED9EBA1, [0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15], (3, 9, 11, 15)),
    ]
    for start in range(0, len(message), 64):
        words, (a, b, c, d) = struct.unpack("<16I", message[start:start + 64]), state
        for function, constant, order, shifts in rounds:
            for index, place in enumerate(order):
                a = turn((a + function(b, c, d) + words[place] + constant) & 0xFFFFFFFF, shifts[index % 4])
                a, b, c, d = d, a, b, c
        state = [old + new & 0xFFFFFFFF for old, new in zip(state, (a, b, c, d))]
    return struct.pack("<4I", *state).hex()


def pbkdf2(name, prefix, rounds=1000):
    code = lambda data: base64.b64encode(data).decode()
    return f"{prefix}:{rounds}:{code(SALT)}:{code(hashlib.pbkdf2_hmac(name, WORD, SALT, rounds))}"


def crypted(setting):
    """What the system's crypt(3) makes; `None` where this Python has no door to it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import crypt
    except ImportError:
        return None
    return crypt.crypt(WORD.decode(), setting)


def salted(digest):
    return f"{digest.hexdigest()}:{SALT.decode()}"


hexed = lambda name, data: hashlib.new(name, data).hexdigest()

# A thousand rounds for each candidate: fewer candidates.
FEW = "do?l"

# Mode, its name, the hash, and the mask that holds the word.
MODES = [
    (0, "MD5", hexed("md5", WORD), MASK),
    (10, "MD5 with salt behind", salted(hashlib.md5(WORD + SALT)), MASK),
    (20, "MD5 with salt in front", salted(hashlib.md5(SALT + WORD)), MASK),
    (50, "HMAC-MD5", salted(hmac.new(WORD, SALT, "md5")), MASK),
    (60, "HMAC-MD5, the salt as key", salted(hmac.new(SALT, WORD, "md5")), MASK),
    (100, "SHA-1", hexed("sha1", WORD), MASK),
    (110, "SHA-1 with salt", salted(hashlib.sha1(WORD + SALT)), MASK),
    (150, "HMAC-SHA1", salted(hmac.new(WORD, SALT, "sha1")), MASK),
    (300, "MySQL 4.1", hexed("sha1", hashlib.sha1(WORD).digest()), MASK),
    (600, "BLAKE2b-512", "$BLAKE2$" + hashlib.blake2b(WORD).hexdigest(), MASK),
    (900, "MD4", md4(WORD), MASK),
    (1000, "NTLM", md4(WORD.decode().encode("utf-16-le")), MASK),
    (1300, "SHA2-224", hexed("sha224", WORD), MASK),
    (1400, "SHA2-256", hexed("sha256", WORD), MASK),
    (1450, "HMAC-SHA256", salted(hmac.new(WORD, SALT, "sha256")), MASK),
    (1700, "SHA2-512", hexed("sha512", WORD), MASK),
    (2600, "MD5 of MD5", hexed("md5", hexed("md5", WORD).encode()), MASK),
    (4700, "SHA-1 of MD5", hexed("sha1", hexed("md5", WORD).encode()), MASK),
    (10800, "SHA2-384", hexed("sha384", WORD), MASK),
    (10900, "PBKDF2-HMAC-SHA256", pbkdf2("sha256", "sha256"), FEW),
    (11500, "CRC32", f"{zlib.crc32(WORD):08x}:00000000", MASK),
    (11900, "PBKDF2-HMAC-MD5", pbkdf2("md5", "md5"), FEW),
    (12000, "PBKDF2-HMAC-SHA1", pbkdf2("sha1", "sha1"), FEW),
    (12100, "PBKDF2-HMAC-SHA512", pbkdf2("sha512", "sha512"), FEW),
    (17300, "SHA3-224", hexed("sha3_224", WORD), MASK),
    (17400, "SHA3-256", hexed("sha3_256", WORD), MASK),
    (17600, "SHA3-512", hexed("sha3_512", WORD), MASK),
    (500, "md5crypt", crypted("$1$salt$"), FEW),
    (7400, "sha256crypt", crypted("$5$rounds=1000$salt$"), FEW),
    (3200, "bcrypt", crypted("$2b$04$abcdefghijklmnopqrstuu"), FEW),
]

FOUND, NOT_FOUND = 0, 1  # hashcat's exit statuses


def hashcat(folder, mode, digest, arguments, found):
    options = ["--potfile-disable", "--logfile-disable", "--restore-disable", "--quiet", "--outfile", found, "--outfile-format", "2",
               # No OpenCL device of the machine's may find the words.
               "--backend-ignore-opencl",
               # Small steps: an autotuner that expects a GPU's speed would measure long.
               "-n", "1", "-u", "16", "-T", "32", "--force"]
    command = [os.environ["VGPU_RUN"], os.path.join(folder, "hashcat"), "-m", str(mode), digest, *arguments, *options]
    return subprocess.run(command, capture_output=True, text=True, errors="replace", cwd=folder,
                          env=dict(os.environ, LD_LIBRARY_PATH=folder))


class Session:
    def __init__(self, folder, directory):
        self.folder, self.directory, self.right, self.tried = folder, directory, 0, 0

    def file(self, name, *lines):
        path = os.path.join(self.directory, name)
        pathlib.Path(path).write_bytes(b"".join(line + b"\n" for line in lines))
        return path

    def expect(self, name, mode, digest, arguments, words):
        """The words that hashcat has to find; none means that it must say so."""
        self.tried += 1
        found = os.path.join(self.directory, f"found-{self.tried}")
        run = hashcat(self.folder, mode, digest, arguments, found)
        got = sorted(pathlib.Path(found).read_bytes().split()) if os.path.exists(found) else []
        if run.returncode == (FOUND if words else NOT_FOUND) and got == sorted(words):
            self.right += 1
            print(f"ok {name}", flush=True)
        else:
            print(f"FAILED {name}: status {run.returncode}, found {got}\n{run.stdout}{run.stderr}", flush=True)


def attacks(session):
    """Every kind of attack, with MD5: its kernels differ by the way candidates are made."""
    md5 = lambda *words: session.file("hashes", *(hexed("md5", word).encode() for word in words))
    words = session.file("words", b"cat", b"hot", b"dog", b"house", b"Summer")
    other = session.file("other", b"mouse", b"dog", b"house")
    rules = session.file("rules", b":", b"u", b"c $1", b"r", b"d")
    session.expect("several hashes by a mask", 0, md5(b"dog", b"cat", b"pig"), ["-a", "3", MASK], [b"dog", b"cat", b"pig"])
    session.expect("nothing where nothing is", 0, hexed("md5", b"longer"), ["-a", "3", MASK], [])
    session.expect("a mask with a set of its own", 0, hexed("md5", b"x7Y"), ["-a", "3", "-1", "xyz", "-2", "?dXY", "?1?2?2"], [b"x7Y"])
    session.expect("masks that grow", 0, md5(b"a", b"zz"), ["-a", "3", "--increment", "?l?l"], [b"a", b"zz"])
    session.expect("a list of words", 0, md5(b"dog", b"house"), ["-a", "0", words], [b"dog", b"house"])
    session.expect("words and rules", 0, md5(b"DOG", b"Cat1", b"esuoh", b"hothot"), ["-a", "0", words, "-r", rules], [b"DOG", b"Cat1", b"esuoh", b"hothot"])
    session.expect("words combined", 0, md5(b"catmouse", b"dogdog"), ["-a", "1", words, other], [b"catmouse", b"dogdog"])
    session.expect("words and a mask behind", 0, md5(b"dog42", b"house07"), ["-a", "6", words, "?d?d"], [b"dog42", b"house07"])
    session.expect("a mask and words behind", 0, md5(b"9dog", b"3cat"), ["-a", "7", "?d", words], [b"9dog", b"3cat"])
    session.expect("many hashes", 0, md5(*(b"%03d" % n for n in range(0, 1000, 7))), ["-a", "3", "?d?d?d"], [b"%03d" % n for n in range(0, 1000, 7)])


def cache(session):
    """hashcat keeps the linked image on disk: another run takes it from there."""
    kernels = pathlib.Path(session.folder, "kernels")
    before = {path: path.stat().st_mtime_ns for path in kernels.glob("*.kernel")}
    session.expect("kernels from the cache on disk", 0, hexed("md5", WORD), ["-a", "3", MASK], [WORD])
    session.tried += 1
    kept = before and all(path.exists() and path.stat().st_mtime_ns == time for path, time in before.items())
    session.right += bool(kept)
    print(f"{'ok' if kept else 'FAILED'} the cache was used: {len(before)} kernels", flush=True)


def main(folder, chosen):
    with tempfile.TemporaryDirectory() as directory:
        session = Session(folder, directory)
        for mode, name, digest, mask in MODES:
            if digest is None:
                print(f"skipped: {mode} {name}: this Python has no crypt")
            elif not chosen or str(mode) in chosen:
                session.expect(f"{mode} {name}", mode, digest, ["-a", "3", mask], [WORD])
        modes = session.tried
        if not chosen:
            attacks(session)
            cache(session)
    print(f"result {session.right} of {session.tried} right: {modes} hash modes with their self-tests, {session.tried - modes} attacks")
    return 0 if session.tried and session.right == session.tried else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
