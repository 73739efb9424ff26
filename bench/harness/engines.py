"""The bench's side of an engine's process: see peers/__init__.py."""
import json
import os
import signal
import subprocess
import tempfile
import time


class EngineFailed(Exception):
    pass


class Engine:
    """A process that has loaded its model. Stopped (SIGSTOP) whenever it has nothing to do, so that no thread of it spins meanwhile."""

    def __init__(self, name, command, env):
        self.name, self.errors = name, tempfile.TemporaryFile()
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, env={**os.environ, **env}, text=True)
        self.receive()
        self.process.send_signal(signal.SIGSTOP)

    def receive(self):
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            self.errors.seek(0)
            words = self.errors.read().decode(errors="replace").strip().splitlines()
            raise EngineFailed(f"{self.name}: {' / '.join(words[-3:]) or 'ended'}")
        return json.loads(line)

    def ask(self, **request):
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = self.receive()
        time.sleep(0.005)  # its threads come to rest
        self.process.send_signal(signal.SIGSTOP)
        return answer

    def cpu_seconds(self):
        """What all its threads have used so far."""
        with open(f"/proc/{self.process.pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self):
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.errors.close()
