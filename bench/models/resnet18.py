"""ResNet-18 (He et al., arXiv:1512.03385), torchvision's names, one picture of 224 x 224."""
import torch
from torch import nn
import torch.nn.functional as F

AIGC, ENTRY, DIMS = "resnet18.aigc", "forward", []


class BasicBlock(nn.Module):
    def __init__(self, inp, out, stride=1):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inp, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out)
        self.conv2, self.bn2 = nn.Conv2d(out, out, 3, 1, 1, bias=False), nn.BatchNorm2d(out)
        self.downsample = (nn.Sequential(nn.Conv2d(inp, out, 1, stride, bias=False), nn.BatchNorm2d(out))
                           if stride != 1 or inp != out else nn.Identity())

    def forward(self, x):
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + self.downsample(x))


class ResNet18(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        for i, (inp, out) in enumerate(((64, 64), (64, 128), (128, 256), (256, 512))):
            self.add_module(f"layer{i + 1}", nn.Sequential(BasicBlock(inp, out, 1 if i == 0 else 2), BasicBlock(out, out)))
        self.fc = nn.Linear(512, 1000)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


module = ResNet18


def inputs():
    return {"x": torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(2))}
