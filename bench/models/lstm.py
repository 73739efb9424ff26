"""Two layers of LSTM, 512 wide, over 100 steps of one sequence."""
import torch
from torch import nn

AIGC, ENTRY, DIMS = "lstm.aigc", "forward", []


class LSTM(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(512, 512, 2)

    def forward(self, x):
        return self.lstm(x)[0]


module = LSTM


def inputs():
    return {"x": torch.randn(100, 1, 512, generator=torch.Generator().manual_seed(2))}
