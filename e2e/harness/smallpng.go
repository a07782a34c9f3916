// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bytes"
	"cmp"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"slices"
)

// SmallPNG returns the upper part of a picture with no more than 256 colors: the most
// frequent ones.
func SmallPNG(picture []byte, height int) ([]byte, error) {
	decoded, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		return nil, err
	}
	bounds := decoded.Bounds()
	bounds.Max.Y = min(bounds.Max.Y, bounds.Min.Y+height)
	small := image.NewPaletted(bounds, frequentColors(decoded, bounds))
	draw.Draw(small, bounds, decoded, bounds.Min, draw.Src)
	var encoded bytes.Buffer
	err = (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&encoded, small)
	return encoded.Bytes(), err
}

func frequentColors(picture image.Image, bounds image.Rectangle) color.Palette {
	counts := make(map[color.RGBA]int)
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			c := color.RGBAModel.Convert(picture.At(x, y)).(color.RGBA)
			counts[c]++
		}
	}
	colors := slices.SortedFunc(maps.Keys(counts), func(a, b color.RGBA) int { return cmp.Compare(counts[b], counts[a]) })
	var palette color.Palette
	for _, c := range colors[:min(len(colors), 256)] {
		palette = append(palette, c)
	}
	return palette
}
