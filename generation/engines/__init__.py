"""The models themselves. Plain values in and out: nothing here knows of Django or of the database.

`errors`, `facts`, `options` and `tokens` load no torch and may be used by a web process; the rest is for workers.
"""

import logging

# torchao tells at every import of diffusers which CUDA kernels a CPU lacks, and warns of its own deprecations.
for _name in ("torchao", "torch.utils._pytree", "diffusers.quantizers.torchao.torchao_quantizer"):
    logging.getLogger(_name).setLevel(logging.ERROR)
