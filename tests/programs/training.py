"""Programs that train a model and return its losses."""

from __future__ import annotations

from typing import Any


def fit(model: Any, optimizer: Any, loss_of: Any, n_steps: int) -> list[float]:
    """Train with one full batch a step; return the losses."""
    losses = []
    for _ in range(n_steps):
        optimizer.zero_grad()
        loss = loss_of(model)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def linear_regression(torch: Any) -> dict[str, Any]:
    x = torch.linspace(-1, 1, 40).unsqueeze(1)
    y = 3 * x - 2 + 0.1 * torch.randn(40, 1)
    w = torch.zeros(1, 1, requires_grad=True)
    b = torch.zeros(1, requires_grad=True)
    losses = []
    for _ in range(60):
        loss = ((x @ w + b - y) ** 2).mean()
        loss.backward()
        with torch.no_grad():
            for p in (w, b):
                p -= 0.3 * p.grad  # noqa: PLW2901 - in place, as users write it
                p.grad.zero_()
        losses.append(float(loss))
    return {"loss": losses, "w": w, "text": f"{b.item():.3f} {w}"}


def mlp_classifier(torch: Any) -> dict[str, Any]:
    nn, F = torch.nn, torch.nn.functional
    x = torch.randn(64, 8)
    target = (x[:, 0] * x[:, 1] > 0).long() + (x[:, 2] > 0.5).long()
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 3))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, weight_decay=1e-4)
    loss = fit(model, optimizer, lambda m: F.cross_entropy(m(x), target), 30)
    logits = model(x)
    accuracy = (logits.argmax(1) == target).float().mean().item()
    confusion = torch.zeros(3, 3, dtype=torch.long)
    for t, p in zip(target, logits.argmax(dim=1), strict=True):
        confusion[t, p] += 1
    return {"loss": loss, "accuracy": accuracy, "confusion": confusion, "model": str(model)}


def cnn_with_schedule(torch: Any) -> dict[str, Any]:
    nn, F = torch.nn, torch.nn.functional

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(1, 4, 3, padding=1, bias=False)
            self.bn1 = nn.BatchNorm2d(4)
            self.conv2 = nn.Conv2d(4, 8, kernel_size=3, stride=2)
            self.dropout = nn.Dropout(0.25)
            self.fc = nn.Linear(8, 4)

        def forward(self, x):
            x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 2)
            x = self.dropout(F.relu(self.conv2(x), inplace=True))
            x = F.adaptive_avg_pool2d(x, 1)
            return F.log_softmax(self.fc(torch.flatten(x, 1)), dim=-1)

    net, x = Net(), torch.randn(16, 1, 12, 12)
    target = torch.arange(16) % 4
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=3, gamma=0.5)
    losses, rates = [], []
    for _ in range(12):
        net.train()
        losses += fit(net, optimizer, lambda m: F.nll_loss(m(x), target), 1)
        scheduler.step()
        rates.append(optimizer.param_groups[0]["lr"])
    net.eval()
    with torch.no_grad():
        out = net(x[:2])
    parameters = sum(p.numel() for p in net.parameters() if p.requires_grad)
    return {
        **{"loss": losses, "rates": rates, "out": out, "mean": net.bn1.running_mean},
        **{"tracked": net.bn1.num_batches_tracked, "n": parameters, "text": repr(net)},
    }


def autoencoder(torch: Any) -> dict[str, Any]:
    nn = torch.nn
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(36, 12), nn.Tanh(), nn.Linear(12, 3))
    decoder = nn.Sequential(nn.Linear(3, 12), nn.GELU(), nn.Linear(12, 36), nn.Sigmoid())
    model = nn.Sequential(encoder, decoder)
    images = torch.rand(20, 1, 6, 6).round()
    criterion = nn.BCELoss(reduction="mean")
    optimizer = torch.optim.AdamW(
        [{"params": encoder.parameters(), "lr": 3e-2}, {"params": decoder.parameters()}], lr=1e-2
    )
    loss = fit(model, optimizer, lambda m: criterion(m(images), images.view(20, -1)), 25)
    return {"loss": loss, "code": encoder(images)[:2], "groups": len(optimizer.param_groups)}


def variational_autoencoder(torch: Any) -> dict[str, Any]:
    nn, F = torch.nn, torch.nn.functional

    class VAE(nn.Module):
        def __init__(self):
            super().__init__()
            self.enc, self.mu, self.logvar = nn.Linear(16, 12), nn.Linear(12, 2), nn.Linear(12, 2)
            self.dec = nn.ModuleList([nn.Linear(2, 12), nn.Linear(12, 16)])

        def reparameterize(self, mu, logvar):
            std = torch.exp(0.5 * logvar)
            return mu + torch.randn_like(std) * std

        def forward(self, x):
            h = F.relu(self.enc(x))
            mu, logvar = self.mu(h), self.logvar(h)
            z = self.reparameterize(mu, logvar)
            return torch.sigmoid(self.dec[1](F.relu(self.dec[0](z)))), mu, logvar

    def loss_of(model):
        recon, mu, logvar = model(x)
        bce = F.binary_cross_entropy(recon, x, reduction="sum")
        return bce - 0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())

    x = (torch.rand(32, 16) > 0.7).float()
    model = VAE()
    return {"loss": fit(model, torch.optim.Adam(model.parameters(), lr=5e-3), loss_of, 30)}


def gan_step(torch: Any) -> dict[str, Any]:
    nn = torch.nn
    generator = nn.Sequential(nn.Linear(4, 16), nn.LeakyReLU(0.2), nn.Linear(16, 2))
    discriminator = nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(0.2, inplace=True))
    discriminator.add_module("out", nn.Linear(16, 1))
    criterion = nn.BCEWithLogitsLoss()
    g_opt = torch.optim.Adam(generator.parameters(), lr=2e-3, betas=(0.5, 0.999))
    d_opt = torch.optim.Adam(discriminator.parameters(), lr=2e-3, betas=(0.5, 0.999))
    d_losses, g_losses = [], []
    for _ in range(10):
        real = torch.randn(24, 2) * 0.5 + torch.tensor([1.0, -1.0])
        fake = generator(torch.randn(24, 4))
        d_opt.zero_grad(set_to_none=True)
        real_out, fake_out = discriminator(real), discriminator(fake.detach())
        d_loss = criterion(real_out, torch.ones_like(real_out))
        d_loss += criterion(fake_out, torch.zeros_like(fake_out))
        d_loss.backward()
        d_opt.step()
        for p in discriminator.parameters():
            p.requires_grad_(False)
        g_opt.zero_grad()
        g_loss = criterion(discriminator(fake), torch.full((24, 1), 1.0))
        g_loss.backward()
        g_opt.step()
        for p in discriminator.parameters():
            p.requires_grad_(True)
        d_losses.append(d_loss.item())
        g_losses.append(g_loss.item())
    return {"d": d_losses, "g": g_losses, "grads": [p.grad for p in generator.parameters()]}


def skip_gram(torch: Any) -> dict[str, Any]:
    nn = torch.nn
    text = "the quick brown fox jumps over the lazy dog and the quick cat".split()
    vocab = {w: i for i, w in enumerate(sorted(set(text)))}
    ids = torch.tensor([vocab[w] for w in text])
    center = torch.cat([ids[1:-1], ids[1:-1]])
    context = torch.cat([ids[:-2], ids[2:]])
    embed, out = nn.Embedding(len(vocab), 6), nn.Embedding(len(vocab), 6)
    optimizer = torch.optim.Adagrad([*embed.parameters(), *out.parameters()], lr=0.5)
    losses = []
    for _ in range(20):
        negative = torch.randint(0, len(vocab), (len(center), 3))
        e = embed(center)
        positive = (e * out(context)).sum(-1)
        others = torch.bmm(out(negative), e.unsqueeze(2)).squeeze(2)
        loss = -(torch.sigmoid(positive).log() + torch.sigmoid(-others).log().sum(1)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    w = embed.weight.detach()
    near = torch.nn.functional.cosine_similarity(w[vocab["the"]].unsqueeze(0), w)
    return {"loss": losses, "near": near.topk(3).indices, "norms": w.norm(dim=1)}


def rnn_by_hand(torch: Any) -> dict[str, Any]:
    nn = torch.nn

    class Cell(nn.Module):
        def __init__(self, n_in, n_hidden):
            super().__init__()
            self.w_x = nn.Parameter(torch.randn(n_in, n_hidden) / n_in**0.5)
            self.w_h = nn.Parameter(torch.eye(n_hidden) * 0.9)
            self.bias = nn.Parameter(torch.zeros(n_hidden))
            self.out = nn.Linear(n_hidden, 1)

        def forward(self, xs):
            h = xs.new_zeros(xs.size(1), self.w_h.size(0))
            outs = []
            for x in xs.unbind(0):
                h = torch.tanh(x @ self.w_x + h @ self.w_h + self.bias)
                outs.append(self.out(h))
            return torch.stack(outs), h

    t = torch.arange(0, 3, 0.25)
    xs = torch.sin(t[:, None] + torch.arange(3.0)).unsqueeze(-1)
    cell = Cell(1, 8)
    optimizer = torch.optim.RMSprop(cell.parameters(), lr=5e-3)
    losses = []
    for _ in range(25):
        optimizer.zero_grad()
        ys, h = cell(xs[:-1])
        loss = (ys - xs[1:]).pow(2).mean()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(cell.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return {"loss": losses, "norm": norm, "h": h}
