"""torch.nn.functional: one family a file, this is the table of contents."""

from disttorch.nn.functional.activation import (
    celu,
    celu_,
    elu,
    elu_,
    gelu,
    glu,
    hardshrink,
    hardsigmoid,
    hardswish,
    hardtanh,
    hardtanh_,
    leaky_relu,
    leaky_relu_,
    logsigmoid,
    mish,
    prelu,
    relu,
    relu6,
    relu_,
    rrelu,
    rrelu_,
    selu,
    selu_,
    silu,
    softplus,
    softshrink,
    softsign,
    tanhshrink,
    threshold,
    threshold_,
)
from disttorch.nn.functional.attention import (
    multi_head_attention_forward,
)
from disttorch.nn.functional.distance import normalize
from disttorch.nn.functional.dropout import (
    alpha_dropout,
    dropout,
    dropout1d,
    dropout2d,
    dropout3d,
    feature_alpha_dropout,
)
from disttorch.nn.functional.embedding import embedding
from disttorch.nn.functional.embedding_bag import (
    embedding_bag,
)
from disttorch.nn.functional.grid import (
    GRID_SAMPLE_INTERPOLATION_MODES,
    GRID_SAMPLE_PADDING_MODES,
    affine_grid,
    grid_sample,
)
from disttorch.nn.functional.interpolate import (
    interpolate,
    upsample,
    upsample_bilinear,
    upsample_nearest,
)
from disttorch.nn.functional.linear import (
    bilinear,
    conv_tbc,
)
from disttorch.nn.functional.loss import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    nll_loss,
    smooth_l1_loss,
)
from disttorch.nn.functional.loss_ctc import (
    ctc_loss,
)
from disttorch.nn.functional.loss_likelihood import (
    gaussian_nll_loss,
    linear_cross_entropy,
    poisson_nll_loss,
)
from disttorch.nn.functional.loss_margin import (
    cosine_embedding_loss,
    hinge_embedding_loss,
    margin_ranking_loss,
    multi_margin_loss,
    multilabel_margin_loss,
    multilabel_soft_margin_loss,
    soft_margin_loss,
    triplet_margin_loss,
    triplet_margin_with_distance_loss,
)
from disttorch.nn.functional.norm import (
    batch_norm,
    group_norm,
    instance_norm,
    layer_norm,
    local_response_norm,
)
from disttorch.nn.functional.pad import pad
from disttorch.nn.functional.pool import (
    adaptive_max_pool1d,
    adaptive_max_pool1d_with_indices,
    adaptive_max_pool2d,
    adaptive_max_pool2d_with_indices,
    adaptive_max_pool3d,
    adaptive_max_pool3d_with_indices,
    max_pool1d,
    max_pool1d_with_indices,
    max_pool2d,
    max_pool2d_with_indices,
    max_pool3d,
    max_pool3d_with_indices,
)
from disttorch.nn.functional.pool_special import (
    fractional_max_pool2d,
    fractional_max_pool2d_with_indices,
    fractional_max_pool3d,
    fractional_max_pool3d_with_indices,
    lp_pool1d,
    lp_pool2d,
    lp_pool3d,
    max_unpool1d,
    max_unpool2d,
    max_unpool3d,
)
from disttorch.nn.functional.softmax import gumbel_softmax, log_softmax, softmax, softmin
from disttorch.ops.attention import (
    scaled_dot_product_attention,
)
from disttorch.ops.conv import (
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
)
from disttorch.ops.distance import (
    cosine_similarity,
    pairwise_distance,
    pdist,
)
from disttorch.ops.embedding import one_hot
from disttorch.ops.fold import (
    fold,
)
from disttorch.ops.fold import (
    unfold_blocks as unfold,
)
from disttorch.ops.matmul import linear
from disttorch.ops.norm_rows import rms_norm
from disttorch.ops.pointwise_special import sigmoid
from disttorch.ops.pointwise_trig import tanh
from disttorch.ops.pool_adaptive import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
)
from disttorch.ops.pool_average import avg_pool1d, avg_pool2d, avg_pool3d
from disttorch.ops.shuffle import (
    channel_shuffle,
    native_channel_shuffle,
    pixel_shuffle,
    pixel_unshuffle,
)
