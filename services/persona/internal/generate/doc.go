// Package generate makes a persona out of the statistics of a segment.
//
// It promises that the same statistics give the same persona; that every figure in the text is one of them; and that only traits which
// are frequent in the segment (a share of at least a fifth) and not rarer there than among everybody enter the rule. It looks at
// built-in attributes alone: no built-in attribute holds a sensitive fact, and a declared one that does never becomes a trait.
//
// It does no I/O: the rpc package of the persona service asks for the statistics that [Dimensions] names, and hands them over.
package generate
