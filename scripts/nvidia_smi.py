"""NVIDIA's nvidia-smi with the machine's real nodes and without them, and what of its output lasts."""
import re
import subprocess

READINGS = re.compile(
    r"Timestamp|timestamp|hroughput|Power|power|Draw|Temp|temp|Clocks|clocks|Graphics|SM |Video|Memory  |Gpu  |tilization|KB/s|\d+C |\d+:\d+:\d+|MHz|N/A +\d+C|_util|"
    r" us$| %$|Active(<|$)|counters|Free|Used|free|used|BAR1|Persistence|persistence|Virtualization|virtualization|IRQ|Minor"
)
IDENTITY = re.compile(r"UUID|uuid|erial|VBIOS|vbios|Module Id|module_id|Latest |latest_|Replays|replay_|Virtualization|virtualization|Bus|bus|GUID|guid|GPU 0000|gpu id|Board ID|board_id|Part Number|part_number|PDI|pdi|Domain|Device +:|pci_device|Host Max|max_host_link_gen")
# The daemon that keeps real cards awake takes orders, too.
HIDE = """
mount -t tmpfs none /mnt && cd /mnt && for node in null zero full random urandom tty; do cp -a /dev/$node .; done && mkdir shm pts && mount --bind /mnt /dev && cd / &&
if [ -d /run/nvidia-persistenced ]; then mount -t tmpfs none /run/nvidia-persistenced; fi && exec "$@"
"""


def run(command):
    """Exit status, standard output, standard error. What does not end has the status of `timeout`."""
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        return 124, "", f"{' '.join(command)[-100:]}: does not end"
    return ran.returncode, ran.stdout, ran.stderr


def lasting(text, same_card=False):
    """Lines to compare: of readings what they are of, and whether they are numbers. Of another card not what tells it from others."""
    lines = []
    for line in text.splitlines():
        if IDENTITY.search(line) and not same_card:
            continue
        if READINGS.search(line) or re.fullmatch(r"[\s\d-]+", line):
            line = re.sub(r"(Not )?Active(?=<|$)", "(state)", re.sub(r"\d[\d./:]*", "(number)", line))
            line = " ".join(line.split())
        lines.append(line)
    return lines


def hidden(*command):
    """Where the real nodes are not."""
    return run(["unshare", "--mount", "sh", "-c", HIDE, "sh", *command])
