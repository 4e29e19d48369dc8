"""uPlot 1.6.32 (https://github.com/leeoniya/uPlot, MIT: uPlot.LICENSE.md), unchanged from npm."""
