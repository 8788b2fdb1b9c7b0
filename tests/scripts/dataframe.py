"""RDataFrame on several threads, compiled code of cling's, a file written and read: the numbers are always the same."""

import sys

import ROOT

ROOT.gROOT.SetBatch(True)
ROOT.EnableImplicitMT(2)
frame = ROOT.RDataFrame(100_000).Define("x", "double(rdfentry_) * 0.5").Define("y", "sqrt(x) * 3").Filter("y > 100")
histogram = frame.Histo1D(("h", "h", 50, 0, 1000), "y")
print(
    frame.Count().GetValue(), round(frame.Sum("y").GetValue(), 3), histogram.GetEntries(), round(histogram.GetMean(), 6)
)
ROOT.gInterpreter.Declare("int twice(int n) { return 2 * n; }")
print(ROOT.twice(21))
frame.Snapshot("tree", sys.argv[1], ["x", "y"])
print(ROOT.RDataFrame("tree", sys.argv[1]).Mean("x").GetValue())
