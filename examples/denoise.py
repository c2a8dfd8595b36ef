"""Takes noise out of a voice on the telephone: a mask over the spectrum, learnt from recordings.

    python examples/denoise.py [STEPS]

568 prompts of one voice (`el.data.spoken_prompts`) at 8,000 frames a second. The 114 voicemail
prompts are held out; noise is mixed in anew in each batch. From the log-mel spectrogram a GRU finds
a factor between 0 and 1 for each frequency and moment; `el.fft` goes there and back, so the loss is
one of sound, not of spectra. docs/examples-denoise.md has the figures.
"""

import sys
import time

import numpy as np

import elinvar as el
from elinvar import nn

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 1500
RATE, FRAME, HOP, BANDS, WIDTH = 8000, 256, 128, 40, 128
LENGTH = 125 * HOP  # two seconds
window = el.asarray(np.sin(np.pi * (np.arange(FRAME) + 0.5) / FRAME).astype(np.float32))


def spectrogram(sound):
    """Sound (N, LENGTH) → complex (N, 126, 129): frames of 32 ms, each half over the next."""
    blocks = el.nn.functional.pad(sound, (HOP, HOP)).reshape(sound.shape[0], -1, HOP)
    return el.fft.rfft(el.concat([blocks[:, :-1], blocks[:, 1:]], 2) * window)


def sound_of(spectrum):
    """The inverse: sin² + cos² = 1 where two frames lie over each other."""
    frames = el.fft.irfft(spectrum, n=FRAME) * window
    return (frames[:, 1:, :HOP] + frames[:, :-1, HOP:]).reshape(frames.shape[0], -1)


def mel_filters():
    """Triangles (129, BANDS) whose middles are evenly spaced on the mel scale."""
    top = 2595 * np.log10(1 + RATE / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, BANDS + 2) / 2595) - 1)
    hertz = np.arange(FRAME // 2 + 1)[:, None] * RATE / FRAME
    rising = (hertz - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - hertz) / (edges[2:] - edges[1:-1])
    triangles = np.maximum(0, np.minimum(rising, falling))
    triangles[np.abs(hertz - edges[1:-1]).argmin(0), np.arange(BANDS)] += 1e-3  # none is empty
    return el.asarray(triangles.astype(np.float32))


class Denoiser(nn.Module):
    """Noisy sound (N, LENGTH) → sound (N, LENGTH)."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mel", mel_filters())
        self.norm = nn.LayerNorm(BANDS)
        self.gru = nn.GRU(BANDS, WIDTH, num_layers=2, batch_first=True)
        self.mask = nn.Linear(WIDTH, FRAME // 2 + 1)

    def forward(self, sound):
        spectrum = spectrogram(sound)
        bands = (el.abs(spectrum) ** 2) @ self.mel  # (N, frames, BANDS)
        found, _ = self.gru(self.norm(el.log(bands + 1e-6)))
        return sound_of(spectrum * nn.functional.sigmoid(self.mask(found)))


def ratio_db(output, clean):
    """Scale-invariant ratio of signal to distortion in dB, one for each sound (N,).

    10 log₁₀ ‖a s‖² / ‖a s − y‖² with a = ⟨y, s⟩ / ‖s‖² (Le Roux et al., 2019).
    """
    a = (output * clean).sum(1, keepdim=True) / ((clean * clean).sum(1, keepdim=True) + 1e-8)
    signal, error = a * clean, a * clean - output
    parts = [(part * part).sum(1) + 1e-8 for part in (signal, error)]
    return 10 / float(np.log(10)) * (el.log(parts[0]) - el.log(parts[1]))


# ---- noise and recordings -----------------------------------------------------------------------


def coloured(random, length):
    """Noise whose power falls or rises with frequency, and whose loudness wanders."""
    spectrum = np.fft.rfft(random.standard_normal(length))
    spectrum *= np.maximum(np.arange(len(spectrum)), 20) ** random.uniform(-1.2, 0.4)
    places = np.linspace(0, length, 9)
    return np.fft.irfft(spectrum, length) * np.interp(
        np.arange(length), places, random.uniform(0.3, 1, 9)
    )


def hum(random, length):
    """A tone of the mains or a machine, with overtones."""
    base = random.uniform(45, 400)
    moments = np.arange(length) / RATE
    return sum(
        random.uniform() / k * np.sin(2 * np.pi * (base * k * moments + random.uniform()))
        for k in range(1, 9)
        if base * k < RATE / 2
    )


class Noisy:
    """Pairs (noisy, clean) of two seconds, for `el.data.from_sequence(…).map(…, seed=…)`.

    Args:
        recordings: of which places are drawn.
        babble: mix in three other places of the recordings in the stead of noise.
    """

    def __init__(self, recordings, babble=False):
        loud = [sound / np.sqrt(np.mean(sound**2)) for sound in recordings]
        self.sound, self.babble = np.concatenate(loud), babble

    def piece(self, random):
        start = random.integers(len(self.sound) - LENGTH)
        return self.sound[start : start + LENGTH]

    def __call__(self, number, random):
        clean = self.piece(random)
        if self.babble:
            noise = sum(self.piece(random) for _ in range(3))
        else:
            noise = (coloured, coloured, hum)[random.integers(3)](random, LENGTH)
        decibels = random.uniform(-5, 15)
        power = np.mean(clean**2) / np.mean(noise**2)
        noisy = clean + noise * np.sqrt(power) * 10 ** (-decibels / 20)
        return noisy.astype(np.float32) / 10, clean.astype(np.float32) / 10


prompts = el.data.spoken_prompts()
spoken = {name: sound for name, sound in prompts.items() if np.sqrt(np.mean(sound**2)) > 1e-3}
held = [sound for name, sound in spoken.items() if name.startswith("vm-")]
learnt = [sound for name, sound in spoken.items() if not name.startswith(("vm-", "dir-"))]
chosen = [sound for name, sound in spoken.items() if name.startswith("dir-")]  # to watch training


def pairs(recordings, count, seed, babble=False):
    numbers = el.data.from_sequence(range(count))
    return numbers.map(Noisy(recordings, babble), seed=seed).batch(16)


def spectral_subtraction(sound):
    """What needs no learning: the quietest fifth of the moments is noise, and is taken away."""
    spectrum = spectrogram(sound).numpy()
    power = np.abs(spectrum) ** 2
    noise = np.quantile(power, 0.2, axis=1, keepdims=True) / 0.22  # its mean, were it Gaussian
    gain = np.sqrt(np.maximum(1 - noise / np.maximum(power, 1e-12), 0.01))
    return sound_of(el.asarray((spectrum * gain).astype(np.complex64)))


def best_mask(noisy, clean):
    """What no mask of this kind can surpass by much: the clean spectrum is known to it."""
    a, b = spectrogram(noisy), spectrogram(clean)
    mask = (a.real * b.real + a.imag * b.imag) / (el.abs(a) ** 2 + 1e-12)
    return sound_of(a * el.clip(mask, 0, 1))


el.manual_seed(0)
model = Denoiser()
trainer = el.Trainer(
    model,
    el.optim.AdamW(model.parameters(), lr=2e-3),
    lambda output, clean: -ratio_db(output, clean).mean(),
    schedule="one_cycle",
    clip_norm=5.0,
)
epoch = min(steps, 150)
start = time.process_time()
trainer.fit(
    pairs(learnt, 16 * epoch, seed=0).prefetch(2), steps // epoch,
    validation=pairs(chosen, 160, seed=1),
)  # fmt: skip
print(f"{time.process_time() - start:.0f} s of CPU time for training")

print("SI-SDR in dB     as it came  subtraction  network  best mask")
for name, babble in (("noise, hum", False), ("same voice thrice", True)):
    found = []
    for noisy, clean in pairs(held, 480, seed=2, babble=babble):
        outputs = [noisy, spectral_subtraction(noisy), trainer.predict(noisy)]
        outputs.append(best_mask(noisy, clean))
        found.append(np.stack([ratio_db(output, clean).numpy() for output in outputs]))
    means = np.concatenate(found, 1).mean(1)
    print(f"{name:<15}  {means[0]:10.1f}  {means[1]:11.1f}  {means[2]:7.1f}  {means[3]:9.1f}")
