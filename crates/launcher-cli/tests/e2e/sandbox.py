#!/usr/bin/env python3
"""Starts the service of a systemd unit under the unit's restrictions, without systemd.

    sandbox.py UNIT FOLDER PROGRAM [ARGUMENT...]

FOLDER takes the place of the unit's working directory, PROGRAM that of the
program that it starts, and the arguments come behind the unit's own. With
`-- COMMAND...` in their place, that is started instead, to find out what is
forbidden. The process keeps its id: everything here is exec, and ends as the
service.

What is not applied is named in NOT_HERE. A restriction that is in neither
list is an error, so that the unit cannot grow one that nobody has tried.
"""

import ctypes
import errno
import os
import re
import resource
import shlex
import struct
import subprocess
import sys
from pathlib import Path

# What belongs to a manager, or needs one.
NOT_HERE = {
    "ExecReload", "Group", "KeyringMode", "NotifyAccess", "ProtectClock", "ProtectControlGroups",
    "ProtectHostname", "ProtectKernelLogs", "ProtectKernelModules", "ProtectKernelTunables",
    "ProtectProc", "RemoveIPC", "Restart", "RestartPreventExitStatus", "RestartSec",
    "RestrictRealtime", "RestrictSUIDSGID", "LockPersonality", "SystemCallArchitectures",
    "TimeoutStartSec", "TimeoutStopSec", "Type", "WatchdogSec",
}
APPLIED = {
    "CapabilityBoundingSet", "ExecStart", "LimitCORE", "LimitNOFILE", "MemoryDenyWriteExecute",
    "NoNewPrivileges", "PrivateDevices", "PrivateTmp", "ProtectHome", "ProtectSystem",
    "ReadWritePaths", "RestrictAddressFamilies", "RestrictNamespaces", "SystemCallErrorNumber",
    "SystemCallFilter", "UMask", "User", "WorkingDirectory",
}
# A user that no system has; only root can become another one.
USER = 64999
# What root needs of its rights here, as capabilities(7) numbers them.
NEEDED = {"CAP_CHOWN": 0, "CAP_SETGID": 6, "CAP_SETUID": 7, "CAP_SETPCAP": 8, "CAP_SYS_ADMIN": 21}
DEVICES = ["null", "zero", "full", "random", "urandom", "tty"]


def main():
    if sys.argv[1] == "--inside":
        inside(sys.argv[2:])
    else:
        outside(sys.argv[1:])


def service(unit):
    """The settings of the unit's [Service], each with all its values."""
    settings, section = {}, None
    for line in Path(unit).read_text().splitlines():
        line = line.strip()
        if line.startswith("["):
            section = line
        elif section == "[Service]" and "=" in line and not line.startswith("#"):
            name, value = line.split("=", 1)
            settings.setdefault(name, []).append(value)
    unknown = set(settings) - NOT_HERE - APPLIED
    if unknown:
        fail(f"sandbox.py does not know {', '.join(sorted(unknown))}: apply it, or say why not")
    return settings


def outside(arguments):
    wrap = ["unshare", "--mount", "--propagation", "private"]
    if os.getuid() == 0:
        missing = sorted(name for name, bit in NEEDED.items() if not capabilities() >> bit & 1)
        if missing:
            fail(f"this test runs as root without {', '.join(missing)}, as in a container: run it "
                 "with these (--privileged), or as a user who is not root")
    else:
        wrap += ["--user", "--map-root-user"]
    probe = subprocess.run(wrap + ["true"], capture_output=True, text=True)
    if probe.returncode != 0:
        way_out = ("the system forbids mount namespaces to root, as in a container: run it with "
                   "--privileged" if os.getuid() == 0 else
                   "this test needs root, or user namespaces for everybody "
                   "(sysctl kernel.unprivileged_userns_clone=1)")
        fail(f"{way_out}: {probe.stderr.strip()}")
    here = str(Path(__file__).resolve())
    folder = Path(arguments[1]).resolve()
    if os.getuid() == 0:
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, USER, USER, follow_symlinks=False)
    exec_(wrap + [sys.executable, here, "--inside", str(os.getuid()), *arguments])


def capabilities():
    """What this process may, as a set of bits."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"^CapEff:\s*(\w+)$", status, re.M).group(1), 16)


def inside(arguments):
    """In a mount namespace of its own, where everything is arranged."""
    caller, unit, folder, program, *more = arguments
    settings = service(unit)
    only = lambda name: settings[name][-1]
    work = only("WorkingDirectory")
    start = shlex.split(only("ExecStart"))
    command = more[1:] if more[:1] == ["--"] else start + more
    # The calls are looked up with a program that may be hidden later.
    calls = filter_of(settings)

    # Both may lie below what is hidden next, and are found by these afterwards.
    folder, program = os.open(folder, os.O_PATH), os.open(program, os.O_PATH)
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", str(Path(work).parent))
    os.mkdir(work)
    bind(folder, work)
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", str(Path(start[0]).parent))
    Path(start[0]).touch()
    bind(program, start[0])
    if only("PrivateDevices") == "yes":
        devices = Path(work).parent / "dev"
        os.mkdir(devices)
        for name in DEVICES:
            (devices / name).touch()
            mount("--bind", f"/dev/{name}", str(devices / name))
        (devices / "fd").symlink_to("/proc/self/fd")
        mount("--rbind", str(devices), "/dev")
    if only("PrivateTmp") == "yes":
        for path in ["/tmp", "/var/tmp"]:
            mount("-t", "tmpfs", "-o", "mode=1777", "tmpfs", path)
    if only("ProtectHome") == "yes":
        for path in ["/home", "/root"]:
            mount("-t", "tmpfs", "-o", "mode=000,ro", "tmpfs", path)
    if only("ProtectSystem") == "strict":
        make_read_only(settings["ReadWritePaths"], ["/proc", "/sys", "/tmp", "/var/tmp"])

    if only("NoNewPrivileges") != "yes" or only("CapabilityBoundingSet") != "":
        fail("sandbox.py applies these two only as they were")
    os.chdir(work)
    os.environ["HOME"] = work
    os.umask(int(only("UMask"), 8))
    files = int(only("LimitNOFILE"))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    files = files if hard == resource.RLIM_INFINITY else min(files, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    resource.setrlimit(resource.RLIMIT_CORE, (int(only("LimitCORE")),) * 2)
    drop_rights(caller == "0")
    install(calls)
    exec_(command)


def drop_rights(is_root):
    """Leaves no capability now, and none to be had at an exec."""
    capability = 0
    while prctl(PR_CAPBSET_DROP, capability) == 0:
        capability += 1
    if is_root:
        os.setgroups([])
        os.setresgid(USER, USER, USER)
        os.setresuid(USER, USER, USER)
    if prctl(PR_SET_NO_NEW_PRIVS, 1) != 0:
        fail("the kernel does not let go of privileges")


def make_read_only(writable, skipped):
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = {}
    for line in lines:
        fields = line.split()
        points[fields[4].replace("\\040", " ")] = fields[5]
    for point, options in points.items():
        inside = lambda folder: point == folder or point.startswith(folder + "/")
        if any(map(inside, [*writable, *skipped])):
            continue
        kept = [flag for flag in options.split(",") if flag in ("nosuid", "nodev", "noexec")]
        done = subprocess.run(
            ["mount", "-o", ",".join(["remount", "bind", "ro", *kept]), point],
            capture_output=True, text=True)
        # What lies below something that is hidden now cannot be reached either.
        if done.returncode != 0 and os.path.ismount(point) and not point.startswith("/dev"):
            fail(f"making {point} read-only: {done.stderr.strip()}")


# --- Calls -------------------------------------------------------------------

LOAD, JUMP_EQUAL, JUMP_SET, AND, RETURN = 0x20, 0x15, 0x45, 0x54, 0x06
ALLOW, ERROR, KILL = 0x7FFF0000, 0x00050000, 0x80000000
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
HEADERS = {
    "x86_64": [f"/usr/include/{where}asm/unistd_64.h" for where in ("x86_64-linux-gnu/", "")],
    "aarch64": ["/usr/include/asm-generic/unistd.h"],
}
NEW_NAMESPACES = 0x7E020080
SHM_EXEC, PROT_WRITE, PROT_EXEC = 0o100000, 2, 4
FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10, "AF_NETLINK": 16}


def filter_of(settings):
    """The program of the kernel's filter, as seccomp(2) describes it."""
    machine = os.uname().machine
    numbers = numbers_of(machine)
    error = ERROR | getattr(errno, settings["SystemCallErrorNumber"][-1])
    program = [(LOAD, 0, 0, 4), (JUMP_EQUAL, 1, 0, ARCHITECTURES[machine]), (RETURN, 0, 0, KILL)]

    def argument(call, index, checks):
        """Checks of an argument's lower half that end with a verdict or go on."""
        if call not in numbers:
            return
        body = [(LOAD, 0, 0, 16 + 8 * index), *checks]
        program.extend([(LOAD, 0, 0, 0), (JUMP_EQUAL, 0, len(body), numbers[call]), *body])

    if settings["MemoryDenyWriteExecute"][-1] == "yes":
        both = PROT_WRITE | PROT_EXEC
        argument("mmap", 2, [(AND, 0, 0, both), (JUMP_EQUAL, 0, 1, both), (RETURN, 0, 0, error)])
        for call in ("mprotect", "pkey_mprotect"):
            argument(call, 2, [(JUMP_SET, 0, 1, PROT_EXEC), (RETURN, 0, 0, error)])
        argument("shmat", 2, [(JUMP_SET, 0, 1, SHM_EXEC), (RETURN, 0, 0, error)])
    families = [FAMILIES[name] for name in settings["RestrictAddressFamilies"][-1].split()]
    known = [(JUMP_EQUAL, len(families) - at, 0, family) for at, family in enumerate(families)]
    argument("socket", 0, [*known, (RETURN, 0, 0, ERROR | errno.EAFNOSUPPORT)])
    if settings["RestrictNamespaces"][-1] == "yes":
        argument("clone", 0, [(JUMP_SET, 0, 1, NEW_NAMESPACES), (RETURN, 0, 0, error)])
        # Its flags cannot be looked at; the C library falls back to clone.
        program.extend([(LOAD, 0, 0, 0), (JUMP_EQUAL, 0, 1, numbers["clone3"]),
                        (RETURN, 0, 0, ERROR | errno.ENOSYS)])
    allowed = allowed_calls(settings["SystemCallFilter"])
    if settings["RestrictNamespaces"][-1] == "yes":
        allowed -= {"unshare", "setns"}
    program.append((LOAD, 0, 0, 0))
    for number in sorted(numbers[name] for name in allowed if name in numbers):
        program.extend([(JUMP_EQUAL, 0, 1, number), (RETURN, 0, 0, ALLOW)])
    return program + [(RETURN, 0, 0, error)]


def numbers_of(machine):
    for header in map(Path, HEADERS.get(machine, [])):
        if header.exists():
            found = re.findall(r"^#define __NR3?_?(?:264_)?(\w+) (\d+)$", header.read_text(), re.M)
            return {name: int(number) for name, number in found}
    fail(f"this test needs the numbers of the kernel's calls on {machine}: "
         "apt-get install linux-libc-dev")


def allowed_calls(lines):
    """What the lines of SystemCallFilter leave; the sets are systemd's own."""
    allowed = set()
    for line in lines:
        names = set()
        for name in line.removeprefix("~").split():
            names |= members(name)
        allowed = allowed - names if line.startswith("~") else allowed | names
    return allowed | members("@default")


def members(name):
    if not name.startswith("@"):
        return {name}
    try:
        said = subprocess.run(["systemd-analyze", "syscall-filter", name], capture_output=True,
                              text=True, check=True, env={**os.environ, "SYSTEMD_PAGER": ""})
    except FileNotFoundError:
        fail("this test needs systemd-analyze: apt-get install systemd")
    lines = [line.strip() for line in said.stdout.splitlines()[1:]]
    inner = [line for line in lines if line and not line.startswith("#")]
    return set().union(*map(members, inner))


def install(program):
    filters = b"".join(struct.pack("HBBI", *instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(filters)
    header = struct.pack("HxxxxxxP", len(program), ctypes.addressof(buffer))
    if prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, header) != 0:
        fail(f"the kernel refuses the filter: {os.strerror(ctypes.get_errno())}")


LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 24, 38, 2
MS_BIND = 4096


def prctl(option, value, more=0):
    return LIBC.prctl(option, value, more, 0, 0)


# --- Little things -----------------------------------------------------------

def mount(*arguments):
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        fail(f"mount {' '.join(arguments)}: {done.stderr.strip()}")


def bind(descriptor, target):
    """Shows at `target` what was opened, wherever it is; mount(8) would go by its name."""
    source = f"/proc/self/fd/{descriptor}".encode()
    if LIBC.mount(source, str(target).encode(), None, MS_BIND, None) != 0:
        fail(f"mount --bind {target}: {os.strerror(ctypes.get_errno())}")
    os.close(descriptor)


def exec_(command):
    try:
        os.execvp(command[0], command)
    except OSError as error:
        fail(f"starting {command[0]}: {error}")


def fail(text):
    print(f"sandbox: {text}", file=sys.stderr)
    sys.exit(3)


main()
